"""`t2v compare`: two evaluations side by side, and which differences are real."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.printing import cell, open_console, print_table
from pipeline.cli.runs import read_evaluation
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.evaluation.intervals import Difference


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


def _plain(one: "Difference") -> dict[str, object]:
    return one._asdict() | {"a": one.a._asdict(), "b": one.b._asdict()}


def _show(found: "dict[str, Difference]", a: str, b: str) -> None:
    console = open_console()
    lines = [[name, cell(one.a), cell(one.b), *_told(one)] for name, one in found.items()]
    print_table(console, ["metric", a, b, "difference", "chance", "real"], lines, numbers=(1, 2, 3, 4))
    compared = [one.real for one in found.values() if one.chance is not None]
    console.print(f"{sum(compared)} of {len(compared)} differences are real", highlight=False)


def _told(one: "Difference") -> tuple[str, str, str]:
    if one.value is None or one.chance is None:
        return "n/a", "", ""
    verdict = f"B is {'higher' if one.value > 0 else 'lower'}" if one.real else "no"
    return f"{one.value:+.3f} ({one.low:+.3f} to {one.high:+.3f})", f"{one.chance:.3f}", verdict
