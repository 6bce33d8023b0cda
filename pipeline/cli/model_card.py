"""The model card (README.md) of an exported model: what it generates, how well, from which data under which licence."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.cli.printing import cell

if TYPE_CHECKING:
    from pipeline.page.figures import EvaluationView, Line
    from pipeline.page.summary import Summary

NOT_STATED = "not stated"
MARKUP = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_{}[]<>|~"})


def write_card(
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
    """The card in Markdown, its facts in the head as the Hugging Face hub reads them; equal runs give equal text.

    `licences` are those of the weights and of the data, `files` say what each file is, `references` name code of a
    user's own that the model needs, `method` is train.method.
    """
    head = {"library_name": "t2v", "pipeline_tag": "text-to-video", "license": licences["weights"], "tags": [method]}
    needed = ", ".join(references)
    parts = [
        "---\n" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items()) + "---\n",
        f"# {escape(name)}\n",
        f"{summary.trained} It draws short clips of the captions that it was trained on; it is no foundation model.\n",
        "![samples of each caption, beside real clips](grid.gif)\n" if "grid.gif" in files else "",
        f"## Use\n\n```python\n{write_example(name, caption)}```\n",
        f"It needs code of its own beside it: {escape(needed)}.\n" if needed else "",
        f"## How good it is\n\n{summary.measured}\n\n{write_figures(evaluation)}",
        f"## Data and licences\n\n- weights: {escape(licences['weights'])}\n- data: {escape(licences['data'])}\n",
        "## Cost\n\n" + write_rows(("", ""), summary.costs.items()),
        "## Lineage\n\nDigests are SHA-256.\n\n" + write_rows(("part", "named by"), summary.lineage.items()),
        "## Files\n\n" + write_rows(("file", "what it is"), files.items()),
    ]
    return "\n".join(part for part in parts if part)


def write_example(name: str, caption: str) -> str:
    """Five lines that draw two clips."""
    words = json.dumps(caption.replace("`", ""), ensure_ascii=False)
    return (
        "from pipeline.sampling import from_pretrained  # the package t2v\n\n"
        f"model = from_pretrained({json.dumps(name.replace('`', ''), ensure_ascii=False)})  # this folder\n"
        f"clips = model.sample({words}, seed=1, n=2)\n"
        "print(clips.shape, clips.dtype)  # [clips, frames, height, width, colours], uint8\n"
    )


def write_figures(evaluation: "EvaluationView | None") -> str:
    """Every figure with its 95 % interval and that of real clips; n/a and withdrawn ones with their reason."""
    if evaluation is None:
        return ""
    groups = {"The main figures": evaluation.key, **evaluation.groups}
    tables = (
        f"### {title}\n\n" + write_rows(("figure", "generated (95 % interval)", "real clips"), map(_list_cells, lines))
        for title, lines in groups.items()
    )
    return "\n".join(tables)


def _list_cells(line: "Line") -> tuple[str, str, str]:
    note = f": {line.figure.reason}" if line.figure.reason else ""
    return f"{line.text.title}. {line.text.meaning}", f"{cell(line.figure)}{note}", cell(line.real)


def write_rows(header: tuple[str, ...], rows: Iterable[Iterable[Any]]) -> str:
    """A table in Markdown, whose cells are text and no markup."""
    lines = [header, tuple("---" for _ in header), *(tuple(escape(str(part)) for part in row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape(text: str) -> str:
    """Text on one line that Markdown and HTML show as it is."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split()).translate(MARKUP)
