"""`t2v compare` and `t2v report`: runs from project folders, or from revisions and experiments in DVC."""

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.commands import JsonOption
from pipeline.cli.printing import cell, open_console, print_table
from pipeline.errors import UserError, spell_count
from pipeline.files import read_product
from pipeline.params import DEFAULTS, load_params, read_yaml
from pipeline.repository import git

if TYPE_CHECKING:
    from pipeline.evaluation.intervals import Difference, Figure
    from pipeline.page.run import Run

MADE_BY = "pipeline.cli.runs"
PARAMS = "params.yaml"
LOGS = "runs/training"
FIGURES = Path("data/evaluation/intervals.json")  # in a project
EVALUATIONS = "an evaluation folder, a JSON file of `t2v evaluate`, a git revision or a DVC experiment"
NOT_OUTPUTS = {"deterministic", "devices", "compute", "checkpoints", "logging"}  # sections on which no output depends
FETCHED = ("labels", "captions", "model", "judge", "evaluation", "samples")  # small, unlike the clips


def compare(
    a: Annotated[str, typer.Argument(help=EVALUATIONS)],
    b: Annotated[str, typer.Argument(help=EVALUATIONS)],
    as_json: JsonOption = False,
) -> None:
    """Compare two evaluations, metric by metric.

    A difference is significant if evaluating other clips would produce one as large with a probability below 5 %,
    corrected over all metrics. Another training seed may change metrics by more than that: compare several runs.

    Example: t2v compare data/evaluation given.json
    """
    figures = read_evaluation(a), read_evaluation(b)
    from pipeline.evaluation.intervals import find_differences, have_same_reference

    if not have_same_reference(*figures):
        print(
            "warning: A and B were evaluated with different judges or real clips, which also causes differences",
            file=sys.stderr,
        )
    found = find_differences(*figures)
    if not found:
        raise UserError(f"{a} and {b} have no metric in common")
    if as_json:
        print(json.dumps({name: _plain(one) for name, one in found.items()}, indent=2))
    else:
        _show(found, a, b)


def _plain(one: "Difference") -> dict[str, object]:
    return one._asdict() | {"a": one.a._asdict(), "b": one.b._asdict()}


def _show(found: "dict[str, Difference]", a: str, b: str) -> None:
    console = open_console()
    lines = [[name, cell(one.a), cell(one.b), *_describe_difference(one)] for name, one in found.items()]
    print_table(console, ["metric", a, b, "difference", "p-value", "significant"], lines, numbers=(1, 2, 3, 4))
    compared = [one.significant for one in found.values() if one.p_value is not None]
    console.print(f"{sum(compared)} of {len(compared)} differences are significant", highlight=False)


def _describe_difference(one: "Difference") -> tuple[str, str, str]:
    if one.value is None or one.p_value is None:
        return "n/a", "", ""
    verdict = f"B is {'higher' if one.value > 0 else 'lower'}" if one.significant else "no"
    return f"{one.value:+.3f} ({one.low:+.3f} to {one.high:+.3f})", f"{one.p_value:.3f}", verdict


def open_runs(names: Sequence[str], scratch: Path) -> "list[Run]":
    """The runs by name; those from DVC are copied into `scratch`. Raises UserError if one is not found."""
    return [
        _open_folder(Path(name)) if Path(name).is_dir() else _fetch_revision(name, scratch / str(number))
        for number, name in enumerate(names)
    ]


def read_evaluation(source: str) -> "dict[str, Figure]":
    """The figures of an evaluation in a file, a folder, a project's folder, or a revision of this project."""
    from pipeline.evaluation.intervals import parse_figures, read_figures

    path = Path(source)
    if not path.exists():
        return parse_figures(_read_revision(source), f"{FIGURES} of {source}")
    found = [file for file in (path, path / FIGURES.name, path / FIGURES) if file.is_file()]
    if not found:
        raise UserError(f"{path}: has neither {FIGURES.name} nor {FIGURES}; run `dvc repro evaluate`")
    return read_figures(found[0])


@contextmanager
def _explain_absence(name: str, ways: str) -> Iterator[str]:
    """Yield the project's path within its repository; convert DVC's errors within the block into UserError."""
    from dvc.exceptions import DvcException  # takes a second
    from dvc_data.index.index import DataIndexDirError

    try:
        yield git("rev-parse", "--show-prefix").stdout.removesuffix("\n")
    except (DvcException, DataIndexDirError, FileNotFoundError) as error:
        raise UserError(f"{name}: {ways} ({error}); see `dvc exp show`, or `dvc fetch`") from None


def _read_revision(name: str) -> Any:
    """The evaluation of a revision or an experiment."""
    import dvc.api  # takes a second

    ways = "not a file or folder, nor a revision or experiment whose evaluation is in the cache"
    with _explain_absence(name, ways) as within:
        text = dvc.api.read(f"{within}{FIGURES.as_posix()}", rev=name)
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{FIGURES} of {name}: not JSON ({error})") from None


def _open_folder(folder: Path) -> "Run":
    from pipeline.page.run import Run, RunFolders

    data = folder / "data"
    if not any((data / name).is_dir() for name in FETCHED):
        raise UserError(f"{folder}: has no outputs of a run, such as data/model; run `dvc repro`")
    origin = {"folder": folder.resolve().name}
    commit = git("rev-parse", "HEAD", folder=folder).stdout.strip()
    if commit:
        changed = git("status", "--porcelain", "--untracked-files=no", folder=folder).stdout.strip()
        origin["commit"] = f"{commit}, with uncommitted changes" if changed else commit
    name = str(folder) if folder.name else folder.resolve().name
    return Run(name, RunFolders.within(data), _read_settings(folder / PARAMS), origin, _measure(folder, data))


def _read_settings(path: Path) -> dict[str, Any]:
    tree = read_yaml(path) if path.is_file() else {}
    if not isinstance(tree, dict):
        raise UserError(f"{path}: has no sections; see recipes/")
    return {name: value for name, value in tree.items() if name not in NOT_OUTPUTS}


def _fetch_revision(name: str, folder: Path) -> "Run":
    """Copy the small outputs of a revision or an experiment, and its params."""
    from dvc.api import DVCFileSystem  # takes a second

    from pipeline.page.run import Run, RunFolders

    folder.mkdir(parents=True)
    with _explain_absence(name, "not a folder, nor a revision or experiment whose outputs are in the cache") as within:
        files = DVCFileSystem(rev=name, subrepos=True)  # shows a project in a sub-folder of the repository
        for product in FETCHED:
            if files.exists(f"{within}data/{product}"):
                files.get(f"{within}data/{product}", str(folder / "data" / product), recursive=True)
        files.get_file(f"{within}{PARAMS}", str(folder / PARAMS))
    if not (folder / "data").is_dir():
        raise UserError(f"{name}: has no outputs of a run in the cache; run `dvc repro` there")
    commit = git("rev-parse", f"{name}^{{commit}}").stdout.strip()
    data, origin = folder / "data", {"commit": commit or name}
    return Run(name, RunFolders.within(data), _read_settings(folder / PARAMS), origin, _measure(Path(), data))


def _measure(project: Path, data: Path) -> dict[str, str]:
    """The cost of the training, if the logs of the project have it."""
    from pipeline.monitoring.throughput import find_cost

    cost = find_cost(project / LOGS, read_product(data / "model/training.json"))
    if not cost:
        return {}
    return {
        "training, wall time in seconds": f"{cost['seconds']:,.0f}",
        "training, CPU seconds of the first process": f"{cost['cpu_seconds']:,.0f}",
        "training, peak memory": f"{cost['memory_gb']:.2f} GB",
        "training, clips per second": f"{cost['clips'] / max(cost['seconds'], 1e-9):.1f}",
    }


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="project folders, git revisions or DVC experiments [default: this project]"),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="HTML file to write")] = Path("runs/report.html"),
) -> None:
    """Write an HTML report of a run, or of several side by side: params that differ, metrics, samples.

    It is self-contained and works offline. `dvc repro report` writes data/report/index.html for this project.

    Example: t2v report -o one.html
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{out}: the report is HTML; its name must end with .html")
    from pipeline.monitoring import progress
    from pipeline.page import build_comparison, build_page
    from pipeline.rendering.export import export_page
    from pipeline.source_code import describe_maker

    options = load_params(Path(PARAMS) if Path(PARAMS).is_file() else DEFAULTS)
    with tempfile.TemporaryDirectory() as scratch:
        found = open_runs(runs or ["."], Path(scratch))
        shown = options.report, options.render.fps, progress
        page = build_page(found[0], *shown) if len(found) == 1 else build_comparison(found, *shown)
        export_page(page, out, describe_maker(MADE_BY) | {"runs": [run.folders.digest() for run in found]})
    print(f"{out}: {spell_count(len(found), 'run')}, {len(page.encode()) / 1e6:.1f} MB")
