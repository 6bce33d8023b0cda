"""`t2v report`: the page of a run, or of several side by side, read from folders or from DVC's cache."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.runs import PARAMS, open_runs
from pipeline.errors import UserError
from pipeline.monitoring import progress
from pipeline.params import DEFAULTS, load_params
from pipeline.rendering.export import export_page
from pipeline.source_code import describe_maker

MADE_BY = "pipeline.cli.report"


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="folders of projects, revisions, or experiments of DVC; without any, this project"),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="the page")] = Path("runs/report.html"),
) -> None:
    """Write one HTML file that shows a run, or several runs side by side: params that differ, figures, samples.

    It opens by double click, without a network. `dvc repro report` makes data/report/index.html of this project.

    Example: t2v report -o one.html
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{out}: the page is HTML; give it a name that ends with .html")
    from pipeline.page import build_comparison, build_page

    options = load_params(Path(PARAMS) if Path(PARAMS).is_file() else DEFAULTS)
    with tempfile.TemporaryDirectory() as scratch:
        found = open_runs(runs or ["."], Path(scratch))
        shown = options.report, options.render.fps, progress
        page = build_page(found[0], *shown) if len(found) == 1 else build_comparison(found, *shown)
        export_page(page, out, describe_maker(MADE_BY) | {"runs": [run.folders.digest() for run in found]})
    print(f"{out}: {len(found)} run{'s' if len(found) > 1 else ''}, {len(page.encode()) / 1e6:.1f} MB")
