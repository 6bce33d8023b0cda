"""`t2v evaluate`: other people's videos in the same table as the generator of a run."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipeline.cli.printing import print_table, widen
from pipeline.cli.told import cell, read_figures
from pipeline.errors import UserError
from pipeline.files import write_json
from pipeline.params import ColumnParams, load_params

if TYPE_CHECKING:
    from pipeline.cli.given import Given
    from pipeline.evaluation.assess import Assessment
    from pipeline.evaluation.metrics import Figure
    from pipeline.evaluation.views import Prompt

NEEDED = ("labels", "clips", "captions", "judge")  # folders of a run
ENDINGS = (".json", ".csv")


def evaluate(
    folder: Annotated[Path, typer.Argument(help="videos, with a metadata.csv, .jsonl or .parquet that lists them")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="by its ending: json (for `t2v compare`) or csv (with controls)")
    ] = None,
    data: Annotated[Path, typer.Option(help="folder of a run: its judges, labels, captions and clips")] = Path("data"),
    caption: Annotated[str, typer.Option(metavar="COLUMN", help="holds the captions")] = "caption",
    category: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="holds the categories; else the captions tell them")
    ] = None,
    objects: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="holds the objects, parted by commas; else likewise")
    ] = None,
) -> None:
    """Judge the videos of a folder as the generator of a run is judged: same judge, same real clips, same controls.

    The column file_name says where each video lies in the folder. Its frames are spread over the whole video.
    """
    if out is not None and out.suffix.lower() not in ENDINGS:
        raise UserError(f"{out}: give it a name that ends with {' or '.join(ENDINGS)}")
    _require_folders(folder, data)
    columns = ColumnParams(path="file_name", caption=caption, category=category, objects=objects, split=None, id=None)
    name = f"{folder.resolve().name}/"  # no other set of clips is called like a folder
    found, given, prompts = _weigh(folder, columns, data, name)

    from pipeline.evaluation.account import write_figures
    from pipeline.evaluation.headline import told_of

    told = told_of(found, name)
    _show(found, told, name, data / "evaluation" / "intervals.json")
    _warn(given, prompts)
    if out is not None and out.suffix.lower() == ".csv":
        write_figures(out, found)
    elif out is not None:
        figures = {metric: figure._asdict() for metric, figure in told.items()}
        left_out = [{"id": drop.id, "reason": drop.reason, "detail": drop.detail} for drop in given.drops]
        write_json(out, {"figures": figures, "clips": len(prompts), "left_out": left_out, "unknown": _unknown(prompts)})


def _require_folders(folder: Path, data: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give one of videos, with the metadata.csv that lists them")
    missing = [name for name in NEEDED if not (data / name).is_dir()]
    if missing:
        raise UserError(f"{data}: holds no folder {', '.join(missing)}; `dvc repro judge` makes what is missing")


def _weigh(folder: Path, columns: ColumnParams, data: Path, name: str) -> "tuple[Assessment, Given, Sequence[Prompt]]":
    import numpy as np  # these bring spaCy and torch, which take seconds

    from pipeline.cli.given import read_given
    from pipeline.evaluation.assess import REPORTED_BY, weigh
    from pipeline.evaluation.controls import Clips
    from pipeline.evaluation.hearing import Hearing
    from pipeline.evaluation.keeping import load_judges
    from pipeline.evaluation.material import Material
    from pipeline.evaluation.pretrained import open_networks
    from pipeline.evaluation.subjects import reals_of
    from pipeline.text.vocabulary import read_vocabulary

    params = load_params()
    judges, classes, shape = load_judges(data / "judge")
    material = Material(data / "labels", data / "clips", data / "captions")
    vocabulary = read_vocabulary(data / "captions" / "vocabulary.json")
    judge = judges[REPORTED_BY]
    if material.shards.shape != (shape.frames, shape.height, shape.width, 3) or judge.words != len(vocabulary):
        raise UserError(f"{data}: its judges were trained on other clips or captions; `dvc repro judge`")
    reals = reals_of(material, classes, params.evaluate)
    hearing = Hearing(material.clips(range(len(material.shards))), material.captions)
    given = read_given(folder, columns, shape, params, vocabulary, hearing)
    prompts = [classes.prompt(clip, caption) for clip, caption in given.labelled]
    # Distances take as many clips as there are real ones, from the first: that must be no matter of their names.
    order = np.random.default_rng(params.evaluate.seed).permutation(len(prompts))
    clips = Clips(given.frames[order], [prompts[place] for place in order])
    networks = open_networks(Path(params.evaluate.pretrained.weights), params.devices)
    return weigh(judge, reals, {name: clips}, params.evaluate, networks), given, prompts


def _show(found: "Assessment", told: "Mapping[str, Figure]", name: str, last: Path) -> None:
    """The figures beside those of the generator, where it was evaluated, of real clips and of the floor."""
    from pipeline.evaluation.differences import same_yardstick
    from pipeline.evaluation.headline import reasons
    from pipeline.evaluation.metrics import METRICS
    from pipeline.evaluation.pretrained import OUTSIDE
    from pipeline.evaluation.verdict import CHANCE, REAL, SECOND

    columns = {name: told}
    if last.is_file():
        columns["model"] = read_figures(last)
        if not same_yardstick(told, columns["model"]):
            print(f"warning: {last.parent} is of other judges or real clips; `dvc repro evaluate`", file=sys.stderr)
    columns |= {other: found.figures[other] for other in (REAL, SECOND, CHANCE, "noise") if other in found.figures}
    console = Console()
    widen(console)
    shown = [*METRICS, *(metric for metric in OUTSIDE if told[metric].value is not None)]
    lines = [[metric, *(cell(figures.get(metric)) for figures in columns.values())] for metric in shown]
    print_table(console, ["metric", *columns], lines)
    for reason, metrics in reasons(told).items():
        console.print(f"{', '.join(metrics)}: n/a, {reason}", highlight=False, markup=False)


def _warn(given: "Given", prompts: "Sequence[Prompt]") -> None:
    """Say what was left out, and which captions no judge can hold a clip against."""
    for drop in given.drops:
        print(f"left out: {drop.id}: {drop.reason}, {drop.detail}", file=sys.stderr)
    for kind, captions in _unknown(prompts).items():
        if captions:
            told = f"{len(captions)} of {len(prompts)} captions name no {kind} that the judges know"
            print(f"warning: {told}, the first {captions[0]!r}", file=sys.stderr)


def _unknown(prompts: "Sequence[Prompt]") -> dict[str, list[str]]:
    return {
        kind: [prompt.caption.text for prompt in prompts if getattr(prompt, kind) < 0]
        for kind in ("object", "category")
    }
