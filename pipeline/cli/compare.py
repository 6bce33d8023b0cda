"""`t2v compare`: two evaluations side by side, and which differences are real."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipeline.cli.printing import cell, print_table, widen
from pipeline.errors import UserError
from pipeline.repository import git

if TYPE_CHECKING:
    from pipeline.evaluation.intervals import Difference, Figure

INSIDE = Path("data/evaluation/intervals.json")  # a project


def compare(
    a: Annotated[str, typer.Argument(help="a folder of an evaluation, a json of `t2v evaluate`, a revision")],
    b: Annotated[str, typer.Argument(help="likewise, or the name of an experiment of DVC")],
    as_json: Annotated[bool, typer.Option("--json", help="print everything as JSON, for machines")] = False,
) -> None:
    """Compare two evaluations, figure by figure.

    A difference is real where drawing other clips would make as large a one with a chance under 5 %, over all figures
    together. Another seed of training may differ by more than other clips do: compare several runs.

    Example: t2v compare data/evaluation given.json
    """
    figures = read_evaluation(a), read_evaluation(b)
    from pipeline.evaluation.intervals import find_differences, have_same_reference

    if not have_same_reference(*figures):
        print(
            "warning: A and B were evaluated with different judges or real clips, which makes differences, too",
            file=sys.stderr,
        )
    found = find_differences(*figures)
    if not found:
        raise UserError(f"{a} and {b} have no figure in common")
    if as_json:
        print(json.dumps({name: _plain(one) for name, one in found.items()}, indent=2))
    else:
        _show(found, a, b)


def read_evaluation(source: str) -> "dict[str, Figure]":
    """The figures of an evaluation: of a file, a folder, a project's folder, or a revision of this project."""
    from pipeline.evaluation.intervals import parse_figures, read_figures

    path = Path(source)
    if not path.exists():
        return parse_figures(_read_revision(source), f"{INSIDE} of {source}")
    found = [file for file in (path, path / INSIDE.name, path / INSIDE) if file.is_file()]
    if not found:
        raise UserError(f"{path}: holds neither {INSIDE.name} nor {INSIDE}; `dvc repro evaluate` makes them")
    return read_figures(found[0])


def _read_revision(name: str) -> str:
    """The evaluation that DVC has of a revision or an experiment."""
    import dvc.api  # takes a second
    from dvc.exceptions import DvcException
    from dvc_data.index.index import DataIndexDirError

    within = git("rev-parse", "--show-prefix").stdout.removesuffix("\n")  # DVC starts from the root of the repository
    try:
        return str(dvc.api.read(f"{within}{INSIDE.as_posix()}", rev=name))
    except (DvcException, DataIndexDirError, FileNotFoundError) as error:
        ways = "no file or folder, and no revision or experiment with an evaluation that is in the cache"
        raise UserError(f"{name}: {ways} ({error}); see `dvc exp show`, or `dvc fetch`") from None


def _plain(one: "Difference") -> dict[str, object]:
    return one._asdict() | {"a": one.a._asdict(), "b": one.b._asdict()}


def _show(found: "dict[str, Difference]", a: str, b: str) -> None:
    console = Console()
    widen(console)
    lines = [[name, cell(one.a), cell(one.b), *_told(one)] for name, one in found.items()]
    print_table(console, ["metric", a, b, "difference", "chance", "real"], lines, numbers=(1, 2, 3, 4))
    compared = [one.real for one in found.values() if one.chance is not None]
    console.print(f"{sum(compared)} of {len(compared)} differences are real", highlight=False)


def _told(one: "Difference") -> tuple[str, str, str]:
    if one.value is None or one.chance is None:
        return "n/a", "", ""
    verdict = f"B is {'higher' if one.value > 0 else 'lower'}" if one.real else "no"
    return f"{one.value:+.3f} ({one.low:+.3f} to {one.high:+.3f})", f"{one.chance:.3f}", verdict
