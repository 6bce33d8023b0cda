"""How Sphinx builds the pages and the API reference: `make docs`. Nothing is fetched while building or viewing."""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

project = "t2v"
extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc"]
exclude_patterns = ["api/*/modules.rst", "**/train.slurm"]
html_theme = "furo"
html_title = "t2v"
html_show_sphinx = False
html_copy_source = False
myst_heading_anchors = 3
myst_enable_extensions: list[str] = []
# Links to files outside docs/ (tests/docs checks every link), and names in annotations that two modules define.
suppress_warnings = ["myst.xref_missing", "ref.python"]
autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
apidoc_module_first = True
apidoc_separate_modules = True
apidoc_modules = [
    {"path": "../pipeline", "destination": "api/pipeline"},
    {"path": "../stages", "destination": "api/stages"},
]
# page -> (caption, pages below it): kept out of the pages, which are plain Markdown
TREES = {
    "index": [
        ("Tutorials", ["tutorials/first-run", "tutorials/your-own-videos", "film"]),
        ("How-to guides", ["how-to/*", "extending"]),
        ("Reference", ["reference/*", "api/pipeline/pipeline", "api/stages/stages"]),
        ("Explanation", ["explanation/*", "decisions/index", "experiments/index"]),
    ],
    "decisions/index": [("Decisions", ["0*"])],
    "experiments/index": [("Experiments", ["*"])],
}


def add_trees(app: Any, page: str, source: list[str]) -> None:  # noqa: ARG001
    """Append the navigation of a page."""
    for caption, below in TREES.get(page, []):
        names = "\n".join(below)
        source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n\n{names}\n```\n"


def write_literally(*arguments: Any) -> None:
    """Docstrings are plain text with `names`: literals for Sphinx, and nothing else in them is markup."""
    lines: list[str] = arguments[-1]
    pieces = re.split(r"(`[^`\s](?:[^`\n]*[^`\s])?`)", "\n".join(lines))
    escaped = (
        f"\\ `{piece}`\\ " if piece.startswith("`") else re.sub(r"([\\*|_`])", r"\\\1", piece)
        for piece in pieces
        if piece
    )
    lines[:] = "".join(escaped).split("\n")


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_trees)
    app.connect("autodoc-process-docstring", write_literally)
