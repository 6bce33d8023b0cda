"""`t2v export`: writes a trained model as a folder to share, in the layout of the Hugging Face Hub."""

import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.printing import cell
from pipeline.cli.runs import open_runs
from pipeline.errors import UserError, naming
from pipeline.extensions import list_references
from pipeline.files import digest_file, write_json
from pipeline.records import (
    EXPORTED_DESCRIPTION,
    EXPORTED_GENERATOR,
    FIRST_WORD_ID,
    GRAPH,
    SAMPLING,
    VECTORS,
    Clip,
    find_model_files,
)

if TYPE_CHECKING:
    from pipeline.inference import Model
    from pipeline.page.figures import EvaluationView, Line
    from pipeline.page.overview import Summary
    from pipeline.page.run import Run

CARD, GRID = "README.md", "grid.gif"
DEMO = "data/demo/labels"
DEMO_LICENCE = "apache-2.0"  # its clips are drawn by this project's code
MEANINGS = {
    EXPORTED_GENERATOR: "the weights of the generator, averaged over its training",
    EXPORTED_DESCRIPTION: "the params that it was trained with, its vocabulary, and how a flow is sampled",
    VECTORS: "word vectors, including those of words that it was never trained on",
    GRAPH: "the same generator as an ONNX graph: z and token_ids -> frames in [-1,1], for {} per run",
    GRID: "samples of each caption, next to real clips",
    CARD: "this model card",
}

SCOPE = "It generates short clips for captions like those that it was trained on; it is not a foundation model."
SAMPLE_WORDS = 6  # of the example, if there are no clips
HUB_LICENCE = re.compile(r"[a-z0-9]+(?:[.+-]+[a-z0-9]+)*")
NOT_STATED = "not stated"
MARKUP = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_{}[]<>|~"})


LicenceOption = Annotated[
    str, typer.Option(help="licence of the weights, by its id on the Hugging Face Hub: apache-2.0, cc-by-4.0, ...")
]


def export(
    folder: Annotated[Path, typer.Argument(help="folder to write, which must not exist yet")],
    run: Annotated[str, typer.Option(help="project folder, git revision or DVC experiment")] = ".",
    licence: LicenceOption = "",
    data_licence: Annotated[str, typer.Option(help="licence of the training clips")] = "",
    graph: Annotated[
        bool, typer.Option("--onnx/--no-onnx", help="include generator.onnx, whose export takes a minute")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="print the files and their digests as JSON")] = False,
) -> None:
    """Export a trained model as a folder to share: safetensors, config, ONNX, and a model card with its metrics.

    `from pipeline.sampling import from_pretrained` reads it, without DVC.

    Example: t2v export my-model --licence apache-2.0
    """
    if folder.exists() or folder.is_symlink():
        raise UserError(f"{folder}: already exists; remove it, or name another folder")
    if licence and not HUB_LICENCE.fullmatch(licence):
        raise UserError(
            f"--licence {licence!r}: not an id of the Hugging Face Hub, such as apache-2.0, cc-by-4.0 or other"
        )
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        (found,) = open_runs([run], Path(scratch))
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.absolute().parent))
        try:
            description, clips = _fill(made, found, graph=graph)
            _write_card(made, folder.name, found, {"weights": licence, "data": data_licence}, description, clips)
            made.chmod(0o755)
            os.rename(made, folder)  # noqa: PTH104  fails if a non-empty folder was created meanwhile
        finally:
            shutil.rmtree(made, ignore_errors=True)
    files = {path.name: path for path in sorted(folder.iterdir())}
    if as_json:
        digests = {name: {"bytes": path.stat().st_size, "sha256": digest_file(path)} for name, path in files.items()}
        print(json.dumps({"folder": str(folder), "files": digests}, indent=2))
    else:
        print(f"{folder}: {', '.join(files)}, {sum(path.stat().st_size for path in files.values()) / 1e6:.1f} MB")


def _fill(made: Path, run: "Run", *, graph: bool) -> tuple[dict[str, Any], str]:
    """Copy the parts of the model, its grid if that is of this model, and export its graph.

    -> the description of the model, and how many clips the graph generates in one pass; empty without a graph.
    """
    from pipeline.inference import Model
    from pipeline.page.run import read_sampling

    files = find_model_files(run.folders.model)
    model = Model(run.folders.model, read_sampling(run))  # raises before anything is written
    for source, name in {files.weights: EXPORTED_GENERATOR, files.vectors: VECTORS}.items():
        if source.exists():
            shutil.copyfile(source, made / name)
    write_json(made / EXPORTED_DESCRIPTION, model.description | ({SAMPLING: model.sampling()} if model.flow else {}))
    if _is_drawn_by(model, run.folders.samples / GRID):
        shutil.copyfile(run.folders.samples / GRID, made / GRID)
    return model.description, _write_graph(model, made / GRAPH) if graph else ""


def _is_drawn_by(model: "Model", grid: Path) -> bool:
    """Whether the grid exists and its provenance names the model, its steps and its guidance."""
    from pipeline.provenance.media import read_media

    expected = {"model": model.digest, **model.sampling()}
    return grid.is_file() and expected.items() <= (read_media(grid).facts or {}).items()


def _write_graph(model: "Model", path: Path) -> str:
    """Export the graph -> how many clips it generates in one pass; empty, with a note, if torch cannot export it."""
    from pipeline.onnx.export import ANY, ONE, export_generator

    print("exporting the ONNX graph, which takes about a minute ...", file=sys.stderr, flush=True)
    exported = export_generator(model, ANY, ONE)
    if exported.fault:
        print(f"note: without {GRAPH}: {exported.fault}", file=sys.stderr)
        return ""
    with naming(path):
        path.write_bytes(exported.graph)
    return "any number of clips" if exported.batch == ANY else "one clip"


def _write_card(
    made: Path, name: str, run: "Run", licences: dict[str, str], description: dict[str, Any], clips: str
) -> None:
    from pipeline.page.figures import read_evaluation
    from pipeline.page.overview import summarise_run

    evaluation = read_evaluation(run)
    default = DEMO_LICENCE if (run.settings.get("dataset") or {}).get("labels") == DEMO else ""
    stated = {
        "weights": licences["weights"] or default or "unknown",
        "data": licences["data"] or (f"{default}, drawn by t2v's own code" if default else NOT_STATED),
    }
    there = {path.name for path in made.iterdir()} | {CARD}
    meanings = {file: text.format(clips) for file, text in MEANINGS.items() if file in there}
    card = _compose_card(
        summarise_run(run, evaluation),
        evaluation,
        name=name,
        caption=_choose_caption(run, description["vocabulary"]["words"]),
        licences=stated,
        files=meanings,
        references=list_references(description),
        method=str(description["train"]["method"]),
    )
    with naming(made / CARD):
        (made / CARD).write_text(card, encoding="utf-8")


def _choose_caption(run: "Run", words: list[str]) -> str:
    """The commonest caption of the training clips; without clips, words of the vocabulary."""
    from pipeline.tables import read_table

    table = run.folders.labels / "clips.parquet"
    clips = read_table(table, Clip) if table.exists() else []
    counts = Counter(clip.caption for clip in clips if clip.split == "train")
    return (
        min(counts, key=lambda caption: (-counts[caption], caption))
        if counts
        else " ".join(words[FIRST_WORD_ID : FIRST_WORD_ID + SAMPLE_WORDS])
    )


def _compose_card(
    summary: "Summary",
    evaluation: "EvaluationView | None",
    *,
    name: str,
    caption: str,
    licences: Mapping[str, str],
    files: Mapping[str, str],
    references: Iterable[str],
    method: str,
) -> str:
    """The model card in Markdown, with the metadata of the Hugging Face Hub in its head; equal runs give equal text.

    `licences` are those of the weights and the data, `files` describe each file, `references` name user-defined code
    that the model needs, `method` is train.method.
    """
    head = {"library_name": "t2v", "pipeline_tag": "text-to-video", "license": licences["weights"], "tags": [method]}
    needed = ", ".join(references)
    parts = [
        "---\n" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items()) + "---\n",
        f"# {escape(name)}\n",
        f"{summary.trained} {SCOPE}\n",
        "![samples of each caption, next to real clips](grid.gif)\n" if "grid.gif" in files else "",
        f"## Use\n\n```python\n{_write_example(name, caption)}```\n",
        f"It needs custom code: {escape(needed)}.\n" if needed else "",
        f"## Evaluation\n\n{summary.measured}\n\n{write_figures(evaluation)}",
        f"## Data and licences\n\n- weights: {escape(licences['weights'])}\n- data: {escape(licences['data'])}\n",
        "## Cost\n\n" + write_rows(("", ""), summary.costs.items()),
        "## Lineage\n\nDigests are SHA-256.\n\n" + write_rows(("part", "identified by"), summary.lineage.items()),
        "## Files\n\n" + write_rows(("file", "content"), files.items()),
    ]
    return "\n".join(part for part in parts if part)


def _write_example(name: str, caption: str) -> str:
    """Five lines of code that sample two clips."""
    words = json.dumps(caption.replace("`", ""), ensure_ascii=False)
    return (
        "from pipeline.sampling import from_pretrained  # the package t2v\n\n"
        f"model = from_pretrained({json.dumps(name.replace('`', ''), ensure_ascii=False)})  # this folder\n"
        f"clips = model.sample({words}, seed=1, n=2)\n"
        "print(clips.shape, clips.dtype)  # [clips, frames, height, width, colours], uint8\n"
    )


def write_figures(evaluation: "EvaluationView | None") -> str:
    """All figures with 95 % intervals, beside those of real clips; n/a and withdrawn ones with a reason."""
    if evaluation is None:
        return ""
    groups = {"Key metrics": evaluation.key, **evaluation.groups}
    tables = (
        f"### {title}\n\n" + write_rows(("metric", "generated (95 % interval)", "real clips"), map(_list_cells, lines))
        for title, lines in groups.items()
    )
    return "\n".join(tables)


def _list_cells(line: "Line") -> tuple[str, str, str]:
    note = f": {line.figure.reason}" if line.figure.reason else ""
    return f"{line.text.title}. {line.text.meaning}", f"{cell(line.figure)}{note}", cell(line.real)


def write_rows(header: tuple[str, ...], rows: Iterable[Iterable[Any]]) -> str:
    """A table in Markdown, with escaped cells."""
    lines = [header, tuple("---" for _ in header), *(tuple(escape(str(part)) for part in row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape(text: str) -> str:
    """Text on one line, escaped for Markdown and HTML."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split()).translate(MARKUP)
