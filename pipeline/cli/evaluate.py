"""`t2v evaluate`: measures external videos with the judge, real clips and controls of a run."""

import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.printing import cell, open_console, print_table
from pipeline.corpus import LabelRow, describe_location
from pipeline.corpus.captions import clean_objects, escape_unwritable, normalise_text
from pipeline.corpus.readers.table import read_metadata
from pipeline.corpus.sandboxed import VideoLookup, call_reader
from pipeline.corpus.video_files import is_usable_id
from pipeline.corpus.video_names import NoVideo
from pipeline.directions import DirectionRules, name_direction
from pipeline.errors import UserError
from pipeline.files import write_json
from pipeline.monitoring import progress
from pipeline.params import ClipParams, ColumnParams, Params, load_params, worker_count
from pipeline.records import DROPS, Caption, Clip, Drop, Frames, slugify
from pipeline.shards import ShardReader
from pipeline.tables import read_table
from pipeline.text.vocabulary import Vocabulary
from pipeline.transcoding import make_shards, publish_shards

if TYPE_CHECKING:
    from pipeline.evaluation.evaluate import Evaluation
    from pipeline.evaluation.intervals import Figure
    from pipeline.judges import CaptionParser, Prompt

Labelled = tuple[Clip, Caption]
NEEDED = ("labels", "clips", "captions", "judge")  # folders of a run
OUTPUT_ENDINGS = (".json", ".csv")


@dataclass(frozen=True)
class ExternalClips:
    """Each row of the table is either in `labelled`, with its frames, or in `drops`."""

    labelled: list[Labelled]  # sorted by id
    frames: Frames  # uint8 [N,T,H,W,3]
    drops: list[Drop]


def _read_external_clips(
    folder: Path,
    columns: ColumnParams,
    shape: ClipParams,
    params: Params,
    vocabulary: Vocabulary,
    directions: DirectionRules,
    parser: "CaptionParser",
) -> ExternalClips:
    """Label and decode all videos that the metadata in `folder` lists. Raises UserError if none is left."""
    dataset = params.dataset.model_copy(update={"columns": columns})
    rows = call_reader(read_metadata, folder, dataset, folder, params.compute.sandbox)
    judged = [_label(row, columns, vocabulary, directions, parser) for row in rows]
    drops = [one for one in judged if isinstance(one, Drop)]
    labelled = {one[0].id: one for one in judged if not isinstance(one, Drop)}
    lookup = VideoLookup(folder, worker_count(params.compute), sandbox=params.compute.sandbox)
    found = _find([clip for clip, _ in labelled.values()], lookup)
    drops += [clip for clip in found if isinstance(clip, Drop)]
    clips = sorted((clip for clip in found if isinstance(clip, Clip)), key=lambda clip: clip.id)
    if not clips:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in Counter(drop.reason for drop in drops).items())
        raise UserError(f"{folder}: none of its {len(rows)} clips can be evaluated ({reasons or 'the table is empty'})")
    ids, frames, more = _decode(clips, folder, shape, params)
    drops = sorted([*drops, *more], key=lambda drop: (drop.id, drop.reason, drop.detail))
    return ExternalClips([labelled[name] for name in ids], frames, drops)


def _label(
    row: LabelRow, columns: ColumnParams, vocabulary: Vocabulary, directions: DirectionRules, parser: "CaptionParser"
) -> Labelled | Drop:
    """What the clip should show: by the given columns, else parsed from its caption."""
    from pipeline.text.tokenizer import encode  # imports spaCy, which takes seconds

    text = normalise_text(row.label)
    if not is_usable_id(row.id):
        return Drop(ascii(row.id)[:80], "unusable_id", describe_location(row.location))
    try:
        caption = encode(text, vocabulary, len(text)).caption
    except UserError as error:
        return Drop(row.id, "no_words", str(error))
    category, objects = parser.parse(caption)
    clip = Clip(
        id=row.id,
        caption=text,
        original=escape_unwritable(row.label),
        category=slugify(row.template) if columns.category else category,
        template="",
        objects=clean_objects(row.objects) if columns.objects else objects,
        split="test",
        video=row.video,
        digest="",
        mirrored=False,
        moves=name_direction(directions.find_motion(text)),
    )
    return clip, caption


def _find(clips: Sequence[Clip], lookup: VideoLookup) -> list[Clip | Drop]:
    """The clips with their video files, or drops with the reason why there is none."""
    files = lookup.find([(clip.id, clip.video) for clip in clips])
    digests = iter(lookup.digest([file for file in files if isinstance(file, str)]))
    found: list[Clip | Drop] = []
    for clip, file in zip(clips, files, strict=True):
        digest = file if isinstance(file, Drop) else next(digests)
        if isinstance(digest, NoVideo):
            digest = Drop(clip.id, digest.reason, digest.detail)
        found.append(digest if isinstance(digest, Drop) else replace(clip, video=str(file), digest=digest))
    return found


def _decode(
    clips: Sequence[Clip], folder: Path, shape: ClipParams, params: Params
) -> tuple[list[str], Frames, list[Drop]]:
    """Ids and frames of the videos that can be decoded, and the reasons for the others.

    As in `transcode`, in sandboxed workers of this machine. A generated video is one clip as a whole, whatever windows
    of real videos the params select.
    """
    whole = shape.model_copy(update={"seconds": None, "stride": None})
    options = params.transcode.model_copy(update={"windows": 1, "shard_format": "parquet"})
    compute = params.compute.model_copy(update={"backend": "processes"})
    with TemporaryDirectory() as temporary:
        out = Path(temporary) / "clips"
        out.mkdir()
        shards, total, label = Path(temporary), len(clips), "videos, shards"
        paths = make_shards(shards, folder, clips, whole, options, compute, total=total, label=label, progress=progress)
        publish_shards(paths, out, whole)
        made = ShardReader(out)
        return made.ids, made.frames(range(len(made))), read_table(out / DROPS, Drop)


OutOption = Annotated[
    Path | None, typer.Option("-o", "--out", help="output file: .json (for `t2v compare`) or .csv (with controls)")
]
DataOption = Annotated[Path, typer.Option(help="data folder of a run, with its judge, labels, captions and clips")]

ObjectsOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="column of objects, separated by commas [default: parsed from the caption]"),
]


def evaluate(
    folder: Annotated[Path, typer.Argument(help="folder of videos with a metadata.csv, .jsonl or .parquet")],
    out: OutOption = None,
    data: DataOption = Path("data"),
    caption: Annotated[str, typer.Option(metavar="COLUMN", help="column of captions")] = "caption",
    category: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="column of categories [default: parsed from the caption]")
    ] = None,
    objects: ObjectsOption = None,
) -> None:
    """Evaluate the videos of a folder like the generator of a run: same judge, same real clips, same controls.

    The column file_name has the path of each video within the folder. Frames are sampled from the whole video.

    Example: t2v evaluate other-videos -o given.json
    """
    if out is not None and out.suffix.lower() not in OUTPUT_ENDINGS:
        raise UserError(f"{out}: the name must end with {' or '.join(OUTPUT_ENDINGS)}")
    _require_folders(folder, data)
    named = {"path": "file_name", "caption": caption, "category": category, "objects": objects}
    columns = ColumnParams.model_validate({**dict.fromkeys(ColumnParams.model_fields), **named})
    name = f"{folder.resolve().name}/"  # no other set of clips has such a name
    found, given, prompts, unknown = _evaluate_folder(folder, columns, data, name)

    from pipeline.evaluation.report import summarise_set, write_figures

    measured = summarise_set(found, name)
    _show(found, measured, name, data / "evaluation" / "intervals.json")
    _warn(given, unknown, len(prompts))
    if out is not None and out.suffix.lower() == ".csv":
        write_figures(out, found)
    elif out is not None:
        figures = {metric: figure._asdict() for metric, figure in measured.items()}
        left_out = [{"id": drop.id, "reason": drop.reason, "detail": drop.detail} for drop in given.drops]
        write_json(out, {"figures": figures, "clips": len(prompts), "left_out": left_out, "unknown": unknown})


def _require_folders(folder: Path, data: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give a folder of videos with a metadata.csv")
    missing = [name for name in NEEDED if not (data / name).is_dir()]
    if missing:
        raise UserError(f"{data}: has no folder {', '.join(missing)}; run `dvc repro judge`")


def _evaluate_folder(
    folder: Path, columns: ColumnParams, data: Path, name: str
) -> "tuple[Evaluation, ExternalClips, Sequence[Prompt], dict[str, list[str]]]":
    import numpy as np  # these import spaCy and torch, which takes seconds

    from pipeline.data.dataset import DataFolders, Dataset
    from pipeline.evaluation.clip_sets import read_real_clips
    from pipeline.evaluation.evaluate import evaluate_sets
    from pipeline.evaluation.measured_clips import ClipSet
    from pipeline.evaluation.pretrained_metrics import open_networks
    from pipeline.judges import CaptionParser, load_judge
    from pipeline.text.vocabulary import read_vocabulary

    params = load_params()
    networks = open_networks(Path(params.evaluate.pretrained.weights), params.devices, params.compute.sandbox)
    judge, classes, shape = load_judge(data / "judge")
    dataset = Dataset(DataFolders(data / "labels", data / "clips", data / "captions"))
    vocabulary = read_vocabulary(data / "captions" / "vocabulary.json")
    if dataset.shape != (shape.frames, shape.height, shape.width, 3) or judge.words != len(vocabulary):
        raise UserError(f"{data}: its judge was trained on other clips or captions; run `dvc repro judge`")
    reals = read_real_clips(dataset, classes, params.evaluate)
    parser = CaptionParser(dataset.clips(), dataset.captions)
    given = _read_external_clips(folder, columns, shape, params, vocabulary, dataset.directions, parser)
    prompts = [classes.build_prompt(clip, caption) for clip, caption in given.labelled]
    # Distances compare the first clips, as many as there are real ones: these must not depend on names.
    order = np.random.default_rng(params.evaluate.seed).permutation(len(prompts))
    clips = ClipSet(given.frames[order], [prompts[index] for index in order])
    unknown = list_unknown(prompts, {"object": classes.objects, "category": classes.categories})
    return evaluate_sets(judge, reals, {name: clips}, params.evaluate, networks, progress), given, prompts, unknown


def _show(found: "Evaluation", measured: "Mapping[str, Figure]", name: str, last: Path) -> None:
    """Print the figures beside those of the generator, if it was evaluated, of real clips and of the floor."""
    from pipeline.evaluation.controls import CHANCE, NOISE_ALONE, REAL, SECOND_REAL
    from pipeline.evaluation.intervals import have_same_reference, read_figures
    from pipeline.evaluation.report import group_reasons

    columns = {name: measured}
    if last.is_file():
        columns["model"] = read_figures(last)
        if not have_same_reference(measured, columns["model"]):
            print(
                f"warning: {last.parent} was made with another judge or other real clips; run `dvc repro evaluate`",
                file=sys.stderr,
            )
    beside = (REAL, SECOND_REAL, CHANCE, NOISE_ALONE)
    columns |= {other: found.figures[other] for other in beside if other in found.figures}
    console = open_console()
    shown = [
        name for name, metric in found.metrics.items() if metric.network is None or measured[name].value is not None
    ]
    lines = [[metric, *(cell(figures.get(metric)) for figures in columns.values())] for metric in shown]
    print_table(console, ["metric", *columns], lines)
    for reason, metrics in group_reasons(measured).items():
        console.print(f"{', '.join(metrics)}: n/a, {reason}", highlight=False, markup=False)


def _warn(given: "ExternalClips", unknown: "Mapping[str, Sequence[str]]", count: int) -> None:
    """Warn about dropped clips, and about captions with which the judge cannot compare clips."""
    for drop in given.drops:
        print(f"dropped: {drop.id}: {drop.reason}, {drop.detail}", file=sys.stderr)
    for kind, captions in unknown.items():
        if captions:
            detail = f"{len(captions)} of {count} captions name no {kind} that the judge knows"
            print(f"warning: {detail}, the first {captions[0]!r}", file=sys.stderr)


def list_unknown(prompts: "Sequence[Prompt]", classes: "Mapping[str, Collection[str]]") -> dict[str, list[str]]:
    """The captions that name no object or category of a judge; empty if it has no classes of that kind."""
    return {
        kind: [prompt.caption.text for prompt in prompts if getattr(prompt, kind) < 0] if known else []
        for kind, known in classes.items()
    }
