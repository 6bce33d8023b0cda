"""Stage `report`: the outputs of all stages -> index.html, a self-contained page about the run."""

from pathlib import Path
from typing import Any

from pipeline.errors import run
from pipeline.monitoring import progress
from pipeline.page import build_page
from pipeline.page.run import Run, RunFolders
from pipeline.params import Params, load_params
from pipeline.rendering.export import export_page
from pipeline.source_code import describe_maker

PAGE = "index.html"
MADE_BY = "stages.report_run"


def list_settings(params: Params) -> dict[str, Any]:
    """The sections of params that the outputs of the run depend on."""
    return {
        "seed": params.seed,
        "training_seed": params.training_seed,
        "dataset": params.dataset.model_dump(),
        "filter": params.filter.model_dump(),
        "clip": params.clip.model_dump(),
        "transcode": params.transcode.model_dump(),
        "tokenize": params.tokenize.model_dump(),
        "train": params.train.model_dump(),
        "sampling": params.sampling.model_dump(),
        "judge": params.judge.model_dump(),
        "evaluate": params.evaluate.model_dump(),
        "render": params.render.model_dump(),
    }


def main(
    labels: Path = Path("data/labels"),
    clips: Path = Path("data/clips"),
    captions: Path = Path("data/captions"),
    model: Path = Path("data/model"),
    judge: Path = Path("data/judge"),
    evaluation: Path = Path("data/evaluation"),
    samples: Path = Path("data/samples"),
    out: Path = Path("data/report"),
) -> None:
    """Build the page of this run."""
    params = load_params()
    folders = RunFolders(labels, clips, captions, model, judge, evaluation, samples)
    page = build_page(Run("This run", folders, list_settings(params)), params.report, params.render.fps, progress)
    made = {"report": params.report.model_dump(), "data": folders.digest()}
    export_page(page, out / PAGE, describe_maker(MADE_BY) | made)
    print(f"report: {out / PAGE}, {len(page.encode()) / 1e6:.1f} MB; open it in a browser")


if __name__ == "__main__":
    run(main)
