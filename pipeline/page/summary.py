"""A summary of a run: what was trained, on which data and at what cost, and the digests of its parts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from pipeline.errors import UserError, spell_count
from pipeline.files import digest_file, digest_value, read_product, read_section
from pipeline.page.figures import EvaluationView
from pipeline.page.run import REMEDY, Run, read_count
from pipeline.records import DESCRIPTION, GENERATOR

PRODUCTS = {  # display name -> folder
    "selected clips": "labels",
    "shards": "clips",
    "captions": "captions",
    "generator": "model",
    "judge": "judge",
    "metrics": "evaluation",
}


@dataclass(frozen=True)
class Summary:
    """Sentences for the top of the page, and costs and digests by name."""

    trained: str
    measured: str
    costs: Mapping[str, str]
    lineage: Mapping[str, str]


def summarise_run(run: Run, evaluation: EvaluationView | None) -> Summary:
    """Summarise a run. Raises UserError if a file is broken."""
    model = read_product(run.folders.model / DESCRIPTION)
    return Summary(
        trained=describe_training(run, model),
        measured=describe_evaluation(evaluation),
        costs=list_costs(run, model, evaluation),
        lineage=list_lineage(run, model),
    )


def describe_training(run: Run, model: Mapping[str, Any]) -> str:
    """What was trained, on which data."""
    if not model:
        return "Not trained yet: `dvc repro train` trains a generator."
    report, train = read_product(run.folders.labels / "report.json"), read_section(model, "train")
    generator, shape = read_section(train, "generator"), read_section(model, "clip")
    method = "by flow matching" if train.get("method") == "flow" else "as a GAN"
    data = ""
    if report:
        clips = read_count(read_section(report, "splits"), "train")
        categories, objects = (len(read_section(report, name)) for name in ("categories", "objects"))
        data = (
            f" on {spell_count(clips, 'clip')} of {spell_count(categories, 'category', 'categories')} and "
            f"{spell_count(objects, 'object')}"
        )
    size = f"{shape.get('frames')} frames of {shape.get('width')} × {shape.get('height')} pixels"  # noqa: RUF001
    seed = "" if model.get("seed") is None else f", seed {model['seed']}"
    return (
        f"A generator of kind {generator.get('kind', 'unknown')}, trained {method}{data}, {size}: "
        f"{spell_count(read_count(model, 'clips'), 'real clip')} shown, repetitions included{seed}."
    )


def describe_evaluation(evaluation: EvaluationView | None) -> str:
    """What was measured, and whether the metrics are reliable."""
    if evaluation is None:
        return "Not evaluated yet: `dvc repro evaluate` compares it with real clips and planted controls."
    protocol, withdrawn = evaluation.protocol, evaluation.withdrawn
    believed = f"withdrawn: {', '.join(withdrawn)}" if withdrawn else "no metric is withdrawn"
    samples, real = protocol.get("samples", "some"), protocol.get("real_test", "some")
    return (
        f"Evaluated on {samples} samples, compared with {real} real clips that neither the generator nor the judge has "
        f"seen. {evaluation.met} of {evaluation.tried} checks on planted controls passed; {believed}."
    )


def list_costs(run: Run, model: Mapping[str, Any], evaluation: EvaluationView | None) -> dict[str, str]:
    """Costs that are equal on every machine (weights, operations, bytes), and the measured ones of the run."""
    protocol = evaluation.protocol if evaluation else {}
    weights, operations = protocol.get("generator_weights"), protocol.get("gflop_per_clip")
    generator = run.folders.model / GENERATOR
    costs = {}
    if generator.is_file():
        costs["parameters of the generator"] = f"{weights if isinstance(weights, int) else count_weights(generator):,}"
        costs["generator on disk"] = f"{generator.stat().st_size / 1e6:.1f} MB"
    if operations is not None:
        costs["operations per clip"] = f"{operations} GFLOP"
    if model:
        costs["real clips shown in training"] = f"{read_count(model, 'clips'):,}"
    shards = sum(path.stat().st_size for path in run.folders.clips.glob("clips-*"))
    if shards:
        costs["frames on disk"] = f"{shards / 1e6:.1f} MB"
    return costs | dict(run.measured)


def count_weights(path: Path) -> int:
    """The number of values in a safetensors file. Raises UserError if it is not one."""
    try:
        with safe_open(path, framework="np") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path}: not a safetensors file ({error}); {REMEDY}") from None


def list_lineage(run: Run, model: Mapping[str, Any]) -> dict[str, str]:
    """The origin of the run, and the SHA-256 of its products."""
    files = run.folders.list_files()
    found = {name: digest_file(files[folder]) for name, folder in PRODUCTS.items() if folder in files}
    params = {"params of the model": digest_value(model)} if model else {}
    return {**run.origin, "code": f"t2v {version('t2v')}", **params, **found}
