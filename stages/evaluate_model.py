"""Stage `evaluate`: generator + judge + real clips -> metrics.json, tables and pictures."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.data.dataset import DataFolders
from pipeline.errors import run
from pipeline.evaluation.evaluate import evaluate_generator, open_inputs, select_pictures
from pipeline.evaluation.pretrained_metrics import open_networks
from pipeline.evaluation.report import write_report
from pipeline.files import write_json
from pipeline.monitoring import progress
from pipeline.params import EvaluateParams, SamplingParams, load_params
from pipeline.pretrained import PretrainedNetworks
from pipeline.records import PROVENANCE
from pipeline.rendering import build_row
from pipeline.rendering.export import export_samples
from pipeline.source_code import describe_maker

SCALE = 2  # of the pictures
FORMATS = ("png", "npz")  # pictures; their clips, for the stage `report`
MADE_BY = "stages.evaluate_model"


@dataclass(frozen=True)
class InputFolders:
    """The folders that the stage reads."""

    labels: Path
    clips: Path
    captions: Path
    model: Path
    judge: Path


def evaluate_model(
    folders: InputFolders,
    out: Path,
    metrics: Path,
    options: EvaluateParams,
    networks: PretrainedNetworks,
    sampling: SamplingParams | None = None,
) -> None:
    """Measure the generator, real clips and controls; write figures and pictures, print a summary."""
    data = DataFolders(folders.labels, folders.clips, folders.captions)
    inputs = open_inputs(data, folders.model, folders.judge, sampling)
    found = evaluate_generator(inputs, networks, options, progress)
    provenance = found.provenance | describe_maker(MADE_BY) | {"data": data.digest()}
    lines = write_report(out, metrics, found)
    write_json(out / PROVENANCE, provenance)
    for name, strips in select_pictures(found).items():
        if strips:
            rows = [build_row(strip.caption, strip.clips) for strip in strips]
            for ending in FORMATS:
                export_samples(rows, out / f"{name}.{ending}", scale=SCALE, fps=1, provenance=provenance)
    print("\n".join(lines))


def main(
    labels: Path = Path("data/labels"),
    clips: Path = Path("data/clips"),
    captions: Path = Path("data/captions"),
    model: Path = Path("data/model"),
    judge: Path = Path("data/judge"),
    weights: Path = Path("data/weights"),
    out: Path = Path("data/evaluation"),
    metrics: Path = Path("metrics.json"),
) -> None:
    """Evaluate the averaged generator on splits that neither it nor the judge was trained on."""
    params = load_params()
    networks = open_networks(weights, params.devices, params.compute.sandbox)
    folders = InputFolders(labels, clips, captions, model, judge)
    evaluate_model(folders, out, metrics, params.evaluate, networks, params.sampling)


if __name__ == "__main__":
    run(main)
