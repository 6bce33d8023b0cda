"""The first part of the page: what was trained on what at which cost, and the stages with the items they dropped."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from pipeline.errors import UserError, spell_count
from pipeline.files import digest_file, digest_value, read_product, read_section
from pipeline.page.figures import EvaluationView, read_list
from pipeline.page.run import REMEDY, Run, read_count
from pipeline.records import DESCRIPTION, DROPS, GENERATOR, Drop
from pipeline.tables import iterate_table

PRODUCTS = {  # display name -> folder
    "selected clips": "labels",
    "shards": "clips",
    "captions": "captions",
    "generator": "model",
    "judge": "judge",
    "metrics": "evaluation",
}

EXAMPLES = 5  # per reason
# Stage -> its direct predecessors; further inputs come from their predecessors.
EDGES: dict[str, tuple[str, ...]] = {
    "filter": (),
    "transcode": ("filter",),
    "tokenize": ("filter",),
    "train": ("transcode", "tokenize"),
    "judge": ("transcode", "tokenize"),
    "evaluate": ("train", "judge"),
    "render": ("train",),
}
WIDTH, BOX_WIDTH, BOX_HEIGHT, LEFT, RIGHT, STEP = 400, 180, 56, 10, 210, 92  # of the drawing, in SVG units
PLACES = {  # x of the upper left corner and row of a stage
    "filter": (110, 0),
    "transcode": (LEFT, 1),
    "tokenize": (RIGHT, 1),
    "train": (LEFT, 2),
    "judge": (RIGHT, 2),
    "render": (LEFT, 3),
    "evaluate": (RIGHT, 3),
}
PURPOSES = {
    "filter": "selects clips and divides them into splits",
    "transcode": "decodes videos into frames of one shape",
    "tokenize": "turns captions into token ids",
    "train": "trains the generator",
    "judge": "trains the network that evaluates",
    "evaluate": "compares samples with real clips and planted controls",
    "render": "renders samples next to real clips",
}
REASONS: dict[str, str] = {
    "other_category": "its category is not selected",
    "object_form": "its object name does not have the form that `filter.objects` requires",
    "other_object": "it shows none of the selected objects",
    "excluded_object": "it shows an excluded object",
    "few_clips_of_object": "too few clips show its object",
    "beyond_object_limit": "the limit of clips per object is reached",
    "beyond_clip_limit": "the limit of clips is reached",
    "unusable_id": "it has no usable id",
    "unusable_label": "it has no caption or no category",
    "unusable_path": "its path is not that of a video of the dataset",
    "unusable_segment": "its start and end are not a segment of a video",
    "missing_video": "there is no such video",
    "empty_video": "the video file is empty",
    "unusable_video": "its image folder or archive cannot be read",
    "other_split": "its group or video is in another split",
    "near_duplicate": "it is a near-duplicate of another clip",
    "undecodable": "the video cannot be decoded",
    "decoder_hung": "decoding took longer than allowed",
    "decoder_died": "the decoder crashed",
    "invalid_answer": "the decoder returned an invalid answer",
    "too_short": "it has too few frames",
    "outside_video": "it begins after the end of the video",
    "no_words": "its caption has no words",
    "too_many_tokens": "its caption is too long",
    "rare_word": "its caption has a rare word",
    "no_known_word": "its caption has no known word",
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
        trained=_describe_training(run, model),
        measured=_describe_evaluation(evaluation),
        costs=_list_costs(run, model, evaluation),
        lineage=_list_lineage(run, model),
    )


def _describe_training(run: Run, model: Mapping[str, Any]) -> str:
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


def _describe_evaluation(evaluation: EvaluationView | None) -> str:
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


def _list_costs(run: Run, model: Mapping[str, Any], evaluation: EvaluationView | None) -> dict[str, str]:
    """Costs that are equal on every machine (weights, operations, bytes), and the measured ones of the run."""
    protocol = evaluation.protocol if evaluation else {}
    weights, operations = protocol.get("generator_weights"), protocol.get("gflop_per_clip")
    generator = run.folders.model / GENERATOR
    costs = {}
    if generator.is_file():
        costs["parameters of the generator"] = f"{weights if isinstance(weights, int) else _count_weights(generator):,}"
        costs["generator on disk"] = f"{generator.stat().st_size / 1e6:.1f} MB"
    if operations is not None:
        costs["operations per clip"] = f"{operations} GFLOP"
    if model:
        costs["real clips shown in training"] = f"{read_count(model, 'clips'):,}"
    shards = sum(path.stat().st_size for path in run.folders.clips.glob("clips-*"))
    if shards:
        costs["frames on disk"] = f"{shards / 1e6:.1f} MB"
    return costs | dict(run.measured)


def _count_weights(path: Path) -> int:
    """The number of values in a safetensors file. Raises UserError if it is not one."""
    try:
        with safe_open(path, framework="np") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path}: not a safetensors file ({error}); {REMEDY}") from None


def _list_lineage(run: Run, model: Mapping[str, Any]) -> dict[str, str]:
    """The origin of the run, and the SHA-256 of its products."""
    files = run.folders.list_files()
    found = {name: digest_file(files[folder]) for name, folder in PRODUCTS.items() if folder in files}
    params = {"params of the model": digest_value(model)} if model else {}
    return {**run.origin, "code": f"t2v {version('t2v')}", **params, **found}


@dataclass(frozen=True)
class Dropped:
    """A reason for dropped items, their number, and examples."""

    reason: str
    meaning: str
    count: int
    examples: Sequence[Drop]


@dataclass(frozen=True)
class StageView:
    """A stage: its counts if it filters items, and its result as text."""

    name: str
    purpose: str
    result: str = ""
    read: int | None = None
    kept: int | None = None
    dropped: Sequence[Dropped] = field(default_factory=tuple)
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Box:
    """A stage in the drawing, with the position of its upper left corner."""

    stage: StageView
    x: int
    y: int


@dataclass(frozen=True)
class Drawing:
    """The graph as boxes and lines x1, y1, x2, y2, in a frame of WIDTH x height."""

    boxes: Sequence[Box]
    lines: Sequence[tuple[int, int, int, int]]
    width: int = WIDTH
    height: int = 3 * STEP + BOX_HEIGHT + 2
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT


def draw_graph(stages: Sequence[StageView]) -> Drawing:
    """The positions of the stages, and the lines between them."""
    boxes = {stage.name: Box(stage, PLACES[stage.name][0], 1 + PLACES[stage.name][1] * STEP) for stage in stages}
    lines = [
        (
            boxes[before].x + BOX_WIDTH // 2,
            boxes[before].y + BOX_HEIGHT,
            boxes[name].x + BOX_WIDTH // 2,
            boxes[name].y,
        )
        for name, earlier in EDGES.items()
        for before in earlier
    ]
    return Drawing([*boxes.values()], lines)


def read_stages(run: Run, evaluation: EvaluationView | None) -> list[StageView]:
    """The stages in the order of the graph; stages that have not run have an empty result."""
    folders = run.folders
    return [
        _read_choice("filter", folders.labels, _list_splits),
        _read_choice("transcode", folders.clips, _list_frames),
        _read_choice("tokenize", folders.captions, _list_words),
        _read_training(read_product(folders.model / DESCRIPTION), read_product(folders.model / "training.json")),
        _read_judge(read_product(folders.judge / "judge.json")),
        _read_evaluation(evaluation),
        _read_rendering(run),
    ]


def _read_choice(name: str, folder: Path, list_facts: Any) -> StageView:
    """A stage that keeps some of what it reads."""
    report = read_product(folder / "report.json")
    if not report:
        return StageView(name, PURPOSES[name])
    read, kept = read_count(report, "read"), read_count(report, "kept")
    result = f"{kept:,} of {read:,} kept"
    return StageView(name, PURPOSES[name], result, read, kept, _read_drops(folder, report), list_facts(report))


def _read_drops(folder: Path, report: Mapping[str, Any]) -> list[Dropped]:
    """The reasons for dropped items, most frequent first, with the first items of each."""
    dropped = read_section(report, "dropped")
    counts = {reason: read_count(dropped, reason) for reason in dropped}
    examples: dict[str, list[Drop]] = {reason: [] for reason in counts}
    if counts and (folder / DROPS).is_file():
        for drop in iterate_table(folder / DROPS, Drop):
            if len(examples.setdefault(drop.reason, [])) < EXAMPLES:
                examples[drop.reason].append(drop)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Dropped(reason, REASONS.get(reason, ""), count, examples[reason]) for reason, count in ordered]


def _list_splits(report: Mapping[str, Any]) -> dict[str, str]:
    splits = {f"split {name}": f"{count:,}" for name, count in read_section(report, "splits").items() if count}
    pairs = [" / ".join(map(str, read_list(pair))) for pair in read_list(report.get("test_pairs"))]
    words = [str(word) for word in read_list(report.get("test_words"))]
    facts = {"categories": str(len(read_section(report, "categories")))}
    facts |= {"objects": str(len(read_section(report, "objects"))), **splits}
    facts |= {"pairs held out of training": ", ".join(pairs)} if pairs else {}
    return facts | ({"words held out of training": ", ".join(words)} if words else {})


def _list_frames(report: Mapping[str, Any]) -> dict[str, str]:
    lengths = read_section(report, "frames_per_video")
    least, most, median = (lengths.get(name, "") for name in ("min", "max", "median"))
    return {"frames in a video": f"{least} to {most}, median {median}"} if lengths else {}


def _list_words(report: Mapping[str, Any]) -> dict[str, str]:
    names = ("words", "different_captions", "longest_caption", "words_corrected")
    return {name.replace("_", " "): f"{report[name]:,}" for name in names if isinstance(report.get(name), int)}


def _read_training(model: Mapping[str, Any], training: Mapping[str, Any]) -> StageView:
    if not model:
        return StageView("train", PURPOSES["train"])
    train = read_section(model, "train")
    kind = read_section(train, "generator").get("kind", "")
    facts = {"method": str(train.get("method", "gan")), "generator": str(kind)}
    last = {name: value for name, value in training.items() if name.startswith("val_") and _is_number(value)}
    facts |= {name.replace("_", " "): f"{value:.4g}" for name, value in last.items()}
    return StageView("train", PURPOSES["train"], f"{read_count(model, 'clips'):,} clips shown", facts=facts)


def _read_judge(judge: Mapping[str, Any]) -> StageView:
    if not judge:
        return StageView("judge", PURPOSES["judge"])
    accuracy = read_section(read_section(judge, "val"), "accuracy")
    facts = {f"{name} accuracy on val": f"{value:.3f}" for name, value in accuracy.items() if _is_number(value)}
    return StageView("judge", PURPOSES["judge"], f"{read_count(judge, 'clips'):,} real clips", facts=facts)


def _read_evaluation(evaluation: EvaluationView | None) -> StageView:
    if evaluation is None:
        return StageView("evaluate", PURPOSES["evaluate"])
    facts = {"control checks": f"{evaluation.met} of {evaluation.tried} passed"}
    facts["metrics withdrawn"] = ", ".join(evaluation.withdrawn) or "none"
    return StageView("evaluate", PURPOSES["evaluate"], f"{evaluation.protocol.get('samples', '')} samples", facts=facts)


def _read_rendering(run: Run) -> StageView:
    made = (run.folders.samples / "grid.npz").is_file()
    return StageView("render", PURPOSES["render"], "grids of samples" if made else "")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
