"""`t2v sweep report`: each metric against the swept values, which points really differ, and the trade-off."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from pipeline.cli.printing import print_table, widen
from pipeline.errors import UserError
from pipeline.params import show_value
from pipeline.params.base import find_near
from pipeline.sweeping.axes import show_point
from pipeline.sweeping.experiments import METRICS, find_experiments, read_metrics
from pipeline.sweeping.record import FILE, FOLDER, Sweep, list_sweeps, read_sweep

if TYPE_CHECKING:
    from pipeline.sweeping.differences import MetricDifferences, Spread

SHOWN = ("joint_accuracy", "motion_direction", "frechet", "density", "recall", "discriminator_gap")
MOST_PAIRS = 6  # of a metric, in a line


@dataclass(frozen=True)
class SweepReport:
    """A sweep with what its runs gave."""

    sweep: Sweep
    found: "Mapping[str, MetricDifferences]"  # by metric
    missing: Sequence[str]  # runs without an experiment
    front: Sequence[int]  # points on the front of fidelity and diversity

    def values(self, point: int) -> dict[str, Any]:
        """The values of a point."""
        return next(run.values for run in self.sweep.runs.values() if run.point == point)


def report(
    name: Annotated[str, typer.Argument(help="the sweep's name, that of its folder in runs/sweeps")],
    metric: Annotated[list[str] | None, typer.Option(help="a column of the table; may be given several times")] = None,
    fidelity: Annotated[str, typer.Option(help="metric of the trade-off: how real samples are")] = "density",
    diversity: Annotated[str, typer.Option(help="the other one: how much of the real clips they cover")] = "recall",
    out: Annotated[Path | None, typer.Option(help="draw curves and trade-off, as .svg or .png")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print everything as JSON, for machines")] = False,
) -> None:
    """Say which points of a sweep really differ.

    Intervals and tests are over seeds of training: a sweep with `--seeds 3` or more has them. A difference is real
    where seeds alone would make as large a one with a chance under 5 %, over all points and all metrics together.

    Example: t2v sweep report weights
    """
    if out and out.suffix.lower() not in (".svg", ".png"):
        raise UserError(f"{out}: can draw .svg and .png")
    told = read_report(name, (fidelity, diversity))
    shown = metric or [one for one in SHOWN if one in told.found]
    for one in [*shown, fidelity, diversity]:
        if one not in told.found and (metric or one not in SHOWN):
            raise UserError(f"{one}: no run of {name} has such a metric{find_near(one, told.found)}")
    if out:
        from pipeline.cli.sweep_picture import draw_report

        draw_report(told, shown, (fidelity, diversity), out)
    if as_json:
        print(json.dumps(_plain(told), indent=2, ensure_ascii=False))
    else:
        _show(told, shown, f"{fidelity} and {diversity}")


def read_report(name: str, axes_of_front: tuple[str, str]) -> SweepReport:
    """What the experiments of a sweep gave. Raises UserError where there is no such sweep, or nothing done yet."""
    if not (FOLDER / name / FILE).is_file():
        known = [sweep.name for sweep in list_sweeps()]
        raise UserError(f"{name}: no such sweep in {FOLDER}{find_near(name, known) or '; there is none' * (not known)}")
    from pipeline.evaluation.intervals import OF_THE_REALS  # these bring numpy and scipy, which take a second
    from pipeline.sweeping.differences import compare_points, find_front

    sweep, commits = read_sweep(FOLDER / name), find_experiments()
    values: dict[str, dict[int, list[float]]] = {}
    for run, point in ((run, sweep.runs[run].point) for run in sweep.runs if run in commits):
        for metric, value in read_metrics(commits[run]).items():
            if not metric.endswith(OF_THE_REALS):
                values.setdefault(metric, {}).setdefault(point, []).append(value)
    missing = [run for run in sweep.runs if run not in commits]
    if len(missing) == len(sweep.runs):
        raise UserError(f"{name}: none of its {len(missing)} runs is done yet; repeat its command")
    if not values:
        raise UserError(
            f"{name}: its experiments have no figure in {METRICS}, since points run {', '.join(sweep.origin.stages)}; "
            "`dvc exp apply` one and `dvc repro evaluate`, or sweep again --until evaluate"
        )
    found = compare_points(values)
    both = [found[metric].spreads if metric in found else {} for metric in axes_of_front]
    front = find_front({point: (both[0][point].mean, both[1][point].mean) for point in both[0] if point in both[1]})
    return SweepReport(sweep, found, missing, front)


def _show(told: SweepReport, shown: Sequence[str], trade: str) -> None:
    console = Console()
    widen(console)
    keys = list(told.values(1))
    lines = []
    for point, runs in told.sweep.points().items():
        values = [show_value(told.values(point)[key]) for key in keys]
        cells = [_cell(told.found[metric].spreads.get(point)) for metric in shown]
        done = sum(run not in told.missing for run in runs)
        lines.append([str(point), *values, str(done), *cells, "yes" if point in told.front else ""])
    print_table(console, ["point", *keys, "seeds", *shown, "front"], lines)
    real = {metric: one for metric, one in told.found.items() if one.real}
    tested = [metric for metric, one in told.found.items() if one.chance is not None]
    if real:
        rows = ([metric, f"{one.chance:.3f}", _name_pairs(one.real)] for metric, one in real.items())
        print_table(console, ["metric", "chance", "points that differ"], rows, numbers=(1,))
    for line in _tell(told, len(real), len(tested), trade):
        console.print(line, highlight=False, markup=False)


def _tell(told: SweepReport, real: int, tested: int, trade: str) -> Iterable[str]:
    if tested:
        yield f"{real} of {tested} metrics differ between points by more than seeds do"
    else:
        yield "one seed each: no interval and no test over seeds (--seeds 3); `t2v compare A B` has those over clips"
    points = "; ".join(f"{point} ({show_point(told.values(point))})" for point in told.front)
    if points:
        yield f"front of {trade}, where no other point has more of both: {points}"
    if told.missing:
        names = ", ".join(told.missing)
        yield f"{len(told.missing)} of {len(told.sweep.runs)} runs are missing: {names}; repeat the command"
    for name in told.missing:
        if failure := told.sweep.runs[name].failure:
            yield f"{name} failed: {failure}"


def _cell(spread: "Spread | None") -> str:
    if spread is None:
        return "n/a"
    if spread.low is None or spread.high is None:
        return f"{spread.mean:.3f}"
    return f"{spread.mean:.3f} ± {(spread.high - spread.low) / 2:.3f}"


def _name_pairs(pairs: Sequence[tuple[int, int]]) -> str:
    named = [f"{a} < {b}" for a, b in pairs[:MOST_PAIRS]]
    return ", ".join(named) + (f" and {len(pairs) - MOST_PAIRS} more" if len(pairs) > MOST_PAIRS else "")


def _plain(told: SweepReport) -> dict[str, Any]:
    points = [
        {
            "point": point,
            "values": told.values(point),
            "runs": runs,
            "front": point in told.front,
            "metrics": {
                metric: one.spreads[point]._asdict() for metric, one in told.found.items() if point in one.spreads
            },
        }
        for point, runs in told.sweep.points().items()
    ]
    differences = {
        metric: {
            "chance": one.chance,
            "real": one.real,
            "pairs": [{"points": pair, "chance": chance} for pair, chance in one.pairs.items()],
        }
        for metric, one in told.found.items()
    }
    failures = {name: run.failure for name, run in told.sweep.runs.items() if run.failure and name in told.missing}
    return {
        "sweep": told.sweep.name,
        "points": points,
        "differences": differences,
        "missing": list(told.missing),
        "failures": failures,
    }
