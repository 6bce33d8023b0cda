"""`t2v report`: the page of a run, or of several side by side, read from folders or from DVC's cache."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import UserError
from pipeline.params import DEFAULTS, load_params, read_yaml
from pipeline.rendering.export import export_page
from pipeline.repository import git
from pipeline.source_code import describe_maker

if TYPE_CHECKING:
    from pipeline.page.run import Run

MADE_BY = "pipeline.cli.report"
PARAMS = "params.yaml"
LOGS = "runs/training"
NOT_OUTPUTS = {"deterministic", "devices", "compute", "checkpoints", "logging"}  # sections on which no output depends
FETCHED = ("labels", "captions", "model", "judge", "evaluation", "samples")  # small, unlike the clips


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
    from pipeline.page.build import build_comparison, build_page

    options = load_params(Path(PARAMS) if Path(PARAMS).is_file() else DEFAULTS)
    with tempfile.TemporaryDirectory() as scratch:
        found = open_runs(runs or ["."], Path(scratch))
        shown = options.report, options.render.fps
        page = build_page(found[0], *shown) if len(found) == 1 else build_comparison(found, *shown)
        export_page(page, out, describe_maker(MADE_BY) | {"runs": [run.folders.digest() for run in found]})
    print(f"{out}: {len(found)} run{'s' if len(found) > 1 else ''}, {len(page.encode()) / 1e6:.1f} MB")


def open_runs(names: Sequence[str], scratch: Path) -> "list[Run]":
    """The runs by what the user calls them; those in DVC's cache are copied into `scratch`. Raises UserError."""
    return [
        _open_folder(Path(name)) if Path(name).is_dir() else _fetch_revision(name, scratch / str(number))
        for number, name in enumerate(names)
    ]


def _open_folder(folder: Path) -> "Run":
    from pipeline.page.run import Run, RunFolders

    data = folder / "data"
    if not any((data / name).is_dir() for name in FETCHED):
        raise UserError(f"{folder}: holds no data/model or other product of a run; `dvc repro` makes them")
    origin = {"folder": folder.resolve().name}
    commit = git("rev-parse", "HEAD", folder=folder).stdout.strip()
    if commit:
        changed = git("status", "--porcelain", "--untracked-files=no", folder=folder).stdout.strip()
        origin["commit"] = f"{commit}, with changes" if changed else commit
    name = str(folder) if folder.name else folder.resolve().name
    return Run(name, RunFolders.within(data), _read_settings(folder / PARAMS), origin, _measure(folder, data))


def _read_settings(path: Path) -> dict[str, Any]:
    tree = read_yaml(path) if path.is_file() else {}
    if not isinstance(tree, dict):
        raise UserError(f"{path}: holds no sections; see recipes/")
    return {name: value for name, value in tree.items() if name not in NOT_OUTPUTS}


def _fetch_revision(name: str, folder: Path) -> "Run":
    """Copy the small products of a revision or an experiment, and its params."""
    from dvc.api import DVCFileSystem  # takes a second
    from dvc.exceptions import DvcException
    from dvc_data.index.index import DataIndexDirError

    from pipeline.page.run import Run, RunFolders

    within = git("rev-parse", "--show-prefix").stdout.removesuffix("\n")  # DVC starts from the root of the repository
    folder.mkdir(parents=True)
    try:
        files = DVCFileSystem(rev=name)
        for product in FETCHED:
            if files.exists(f"{within}data/{product}"):
                files.get(f"{within}data/{product}", str(folder / "data" / product), recursive=True)
        files.get_file(f"{within}{PARAMS}", str(folder / PARAMS))
    except (DvcException, DataIndexDirError, FileNotFoundError) as error:
        ways = "no folder, and no revision or experiment whose products are in the cache"
        raise UserError(f"{name}: {ways} ({error}); see `dvc exp show`, or `dvc fetch`") from None
    if not (folder / "data").is_dir():
        raise UserError(f"{name}: has no product of a run; `dvc repro` makes them")
    commit = git("rev-parse", f"{name}^{{commit}}").stdout.strip()
    data, origin = folder / "data", {"commit": commit or name}
    return Run(name, RunFolders.within(data), _read_settings(folder / PARAMS), origin, _measure(Path(), data))


def _measure(project: Path, data: Path) -> dict[str, str]:
    """The cost of the training, where the logs of the project have it."""
    from pipeline.monitoring.cost import find_cost
    from pipeline.page.run import read_object

    cost = find_cost(project / LOGS, read_object(data / "model/training.json"))
    if not cost:
        return {}
    return {
        "training, seconds by the clock": f"{cost['seconds']:,.0f}",
        "training, seconds of CPU, first process": f"{cost['cpu_seconds']:,.0f}",
        "training, most memory": f"{cost['memory_gb']:.2f} GB",
        "training, clips per second": f"{cost['clips'] / max(cost['seconds'], 1e-9):.1f}",
    }
