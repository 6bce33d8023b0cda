"""`t2v sweep report`: each metric against the swept values, which points really differ, and the trade-off."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.printing import open_console, print_table
from pipeline.errors import UserError
from pipeline.files import replacing
from pipeline.params import show_value
from pipeline.params.base import find_near
from pipeline.sweeping.axes import show_point
from pipeline.sweeping.experiments import METRICS, find_experiments, read_metrics
from pipeline.sweeping.record import FILE, FOLDER, Sweep, list_sweeps, read_sweep

if TYPE_CHECKING:
    from pipeline.sweeping.differences import MetricDifferences, Spread

SHOWN = ("joint_accuracy", "motion_direction", "frechet", "density", "recall", "discriminator_gap")
MOST_PAIRS = 6  # of a metric, in a line

WIDE = 20  # the largest value to the smallest from which on they are laid out by their logarithms
PIXELS = 2.0  # of a png, per unit of the drawing
SIDE = 220


@dataclass(frozen=True)
class SweepResults:
    """A sweep with what its runs gave."""

    sweep: Sweep
    metrics: "Mapping[str, MetricDifferences]"
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
    results = read_results(name, (fidelity, diversity))
    shown = metric or [one for one in SHOWN if one in results.metrics]
    for one in [*shown, fidelity, diversity]:
        if one not in results.metrics and (metric or one not in SHOWN):
            raise UserError(f"{one}: no run of {name} has such a metric{find_near(one, results.metrics)}")
    if out:
        draw_report(results, shown, (fidelity, diversity), out)
    if as_json:
        print(json.dumps(_plain(results), indent=2, ensure_ascii=False))
    else:
        _show(results, shown, f"{fidelity} and {diversity}")


def read_results(name: str, axes_of_front: tuple[str, str]) -> SweepResults:
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
    return SweepResults(sweep, found, missing, front)


def _show(results: SweepResults, shown: Sequence[str], trade: str) -> None:
    console = open_console()
    keys = list(results.values(1))
    lines = []
    for point, runs in results.sweep.points().items():
        values = [show_value(results.values(point)[key]) for key in keys]
        cells = [_cell(results.metrics[metric].spreads.get(point)) for metric in shown]
        done = sum(run not in results.missing for run in runs)
        lines.append([str(point), *values, str(done), *cells, "yes" if point in results.front else ""])
    print_table(console, ["point", *keys, "seeds", *shown, "front"], lines)
    real = {metric: one for metric, one in results.metrics.items() if one.real}
    tested = [metric for metric, one in results.metrics.items() if one.chance is not None]
    if real:
        rows = ([metric, f"{one.chance:.3f}", _name_pairs(one.real)] for metric, one in real.items())
        print_table(console, ["metric", "chance", "points that differ"], rows, numbers=(1,))
    for line in _summarise(results, len(real), len(tested), trade):
        console.print(line, highlight=False, markup=False)


def _summarise(results: SweepResults, real: int, tested: int, trade: str) -> Iterable[str]:
    if tested:
        yield f"{real} of {tested} metrics differ between points by more than seeds do"
    else:
        yield "one seed each: no interval and no test over seeds (--seeds 3); `t2v compare A B` has those over clips"
    points = "; ".join(f"{point} ({show_point(results.values(point))})" for point in results.front)
    if points:
        yield f"front of {trade}, where no other point has more of both: {points}"
    if results.missing:
        names = ", ".join(results.missing)
        yield f"{len(results.missing)} of {len(results.sweep.runs)} runs are missing: {names}; repeat the command"
    for name in results.missing:
        if failure := results.sweep.runs[name].failure:
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


def _plain(results: SweepResults) -> dict[str, Any]:
    points = [
        {
            "point": point,
            "values": results.values(point),
            "runs": runs,
            "front": point in results.front,
            "metrics": {
                metric: one.spreads[point]._asdict() for metric, one in results.metrics.items() if point in one.spreads
            },
        }
        for point, runs in results.sweep.points().items()
    ]
    differences = {
        metric: {
            "chance": one.chance,
            "real": one.real,
            "pairs": [{"points": pair, "chance": chance} for pair, chance in one.pairs.items()],
        }
        for metric, one in results.metrics.items()
    }
    failures = {
        name: run.failure for name, run in results.sweep.runs.items() if run.failure and name in results.missing
    }
    return {
        "sweep": results.sweep.name,
        "points": points,
        "differences": differences,
        "missing": list(results.missing),
        "failures": failures,
    }


def draw_report(results: SweepResults, metrics: Sequence[str], trade: tuple[str, str], out: Path) -> None:
    """Write the picture as SVG or PNG, by the ending of `out`."""
    import vl_convert  # takes a second

    spec = build_spec(results, metrics, trade)
    with replacing(out) as temporary:
        if out.suffix.lower() == ".png":
            temporary.write_bytes(vl_convert.vegalite_to_png(spec, scale=PIXELS))
        else:
            temporary.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")


def build_spec(results: SweepResults, metrics: Sequence[str], trade: tuple[str, str]) -> dict[str, Any]:
    """The Vega-Lite of the picture: a plot for each metric, and one of the two of the trade-off."""
    points = list(results.sweep.points())
    key = next(
        (key for key in results.values(1) if all(_is_number(results.values(point)[key]) for point in points)), None
    )
    swept = [results.values(point)[key] for point in points] if key else []
    wide = bool(swept) and min(swept) > 0 and max(swept) / min(swept) >= WIDE
    x = {
        "field": "x",
        "title": key or "point",
        "type": "quantitative" if key else "nominal",
        **({"scale": {"type": "log"}} if wide else {}),
    }
    curves = [_draw_metric(results, metric, key, x) for metric in metrics]
    return {
        "title": results.sweep.name,
        "concat": [*curves, _draw_trade(results, trade)],
        "columns": 3,
        "config": {"view": {"continuousWidth": SIDE, "continuousHeight": SIDE}},
    }


def _draw_metric(results: SweepResults, metric: str, key: str | None, x: dict[str, Any]) -> dict[str, Any]:
    rows = []
    for point, spread in results.metrics[metric].spreads.items():
        values = results.values(point)
        others = {name: value for name, value in values.items() if name != key}
        ends = {"low": spread.low, "high": spread.high} if spread.low is not None else {}
        rows.append(
            {"x": values[key] if key else show_point(values), "others": show_point(others), "mean": spread.mean} | ends
        )
    line = {"mark": {"type": "line", "point": True}, "encoding": {"y": _measure("mean", metric)}}
    rule = {"mark": "rule", "encoding": {"y": _measure("low", metric), "y2": {"field": "high"}}}
    colour = {"field": "others", "type": "nominal", "title": None}
    several = key is not None and len(results.values(1)) > 1
    return {
        "data": {"values": rows},
        "encoding": {"x": x, **({"color": colour} if several else {})},
        "layer": [rule, line] if any("low" in row for row in rows) else [line],
    }


def _draw_trade(results: SweepResults, trade: tuple[str, str]) -> dict[str, Any]:
    across, up = ((results.metrics[metric].spreads if metric in results.metrics else {}) for metric in trade)
    names = {point: f"{point}{' front' * (point in results.front)}" for point in across if point in up}
    rows = [{"x": across[point].mean, "y": up[point].mean, "point": name} for point, name in names.items()]
    encoding = {"x": _measure("x", trade[0]), "y": _measure("y", trade[1])}
    dots = {"mark": {"type": "point", "filled": True}}
    labels = {"mark": {"type": "text", "align": "left", "dx": 6}, "encoding": {"text": {"field": "point"}}}
    return {"data": {"values": rows}, "encoding": encoding, "layer": [dots, labels]}


def _measure(field: str, title: str) -> dict[str, Any]:
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": False}}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
