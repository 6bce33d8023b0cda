"""`t2v sweep report`: metrics against swept values, significant differences between points, and the trade-off."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.commands import JsonOption
from pipeline.cli.printing import open_console, print_table
from pipeline.errors import UserError, suggest_name
from pipeline.files import atomic_write
from pipeline.params import show_value
from pipeline.sweeping import FILE, FOLDER, Sweep, list_sweeps, read_sweep
from pipeline.sweeping.axes import Values, is_number, lay_out, list_keys, show_point
from pipeline.sweeping.point import METRICS, find_experiments, read_metrics

if TYPE_CHECKING:
    from pipeline.sweeping.differences import MetricDifferences, Spread

SHOWN = ("joint_accuracy", "motion_direction", "frechet", "density", "recall", "discriminator_gap")
TRADED = ("density", "recall")  # fidelity and diversity
MAX_PAIRS = 6  # of a metric, in its line
MIN_P_VALUE = 0.001  # smaller p-values are shown as less than this

WIDE = 20  # ratio of the largest to the smallest value from which on an axis is logarithmic
PIXELS = 2.0  # of a PNG, per unit of the drawing
SIDE = 220
COLUMNS = 3
LABEL_LIMIT = 320  # of a point's label
MAX_NAMED = 12  # points whose numbers fit into the plot of the trade-off
FAINT = 0.12
PADDING = 12  # between the outermost points and the frame


@dataclass(frozen=True)
class SweepResults:
    """A sweep and the results of its runs."""

    sweep: Sweep
    metrics: "Mapping[str, MetricDifferences]"
    missing: Sequence[str]  # runs without an experiment
    front: Sequence[int]  # points on the Pareto front of the trade-off

    @cached_property
    def points(self) -> dict[int, Values]:
        """The values of each point, in display order."""
        return lay_out({run.point: run.values for run in self.sweep.runs.values()})

    @cached_property
    def keys(self) -> list[str]:
        """The keys of all points; not every point has all keys."""
        return list_keys(self.points)


def report(
    name: Annotated[str, typer.Argument(help="name of the sweep, which is that of its folder in runs/sweeps")],
    metric: Annotated[list[str] | None, typer.Option(help="metric to show; may be given several times")] = None,
    fidelity: Annotated[str, typer.Option(help="fidelity metric of the trade-off, larger is better")] = TRADED[0],
    diversity: Annotated[str, typer.Option(help="diversity metric of the trade-off, larger is better")] = TRADED[1],
    out: Annotated[Path | None, typer.Option(help="plot curves and the trade-off to this .svg or .png file")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which points of a sweep differ significantly.

    Intervals and tests are over training seeds, so use a sweep with `--seeds 3` or more. A difference is significant if
    seeds alone would produce one as large with a probability below 5 %, corrected over all points and metrics.

    Example: t2v sweep report weights
    """
    if out and out.suffix.lower() not in (".svg", ".png"):
        raise UserError(f"{out}: must end with .svg or .png")
    for option, axis in (("fidelity", fidelity), ("diversity", diversity)):
        if axis not in TRADED:
            _require_rising(option, axis)
    results = read_results(name, (fidelity, diversity))
    shown = metric or [one for one in SHOWN if one in results.metrics]
    for one in [*(metric or ()), *(one for one in (fidelity, diversity) if one not in SHOWN)]:
        if one not in results.metrics:
            raise UserError(f"{one}: no run of {name} has such a metric{suggest_name(one, results.metrics)}")
    if out:
        _draw_report(results, shown, (fidelity, diversity), out)
    if as_json:
        print(json.dumps(_plain(results), indent=2, ensure_ascii=False))
    else:
        _show(results, shown, f"{fidelity} and {diversity}")


def _require_rising(option: str, metric: str) -> None:
    """Raise UserError for a metric whose best point the Pareto front would leave out."""
    from pipeline.page.texts import describe_metric  # takes seconds

    if describe_metric(metric).better == "lower":
        raise UserError(
            f"--{option} {metric}: lower values of it are better, and the trade-off is between metrics whose larger "
            f"values are; `--metric {metric}` shows it"
        )


def read_results(name: str, axes_of_front: tuple[str, str]) -> SweepResults:
    """The results of a sweep's experiments. Raises UserError if there is no such sweep, or no finished run."""
    if not (FOLDER / name / FILE).is_file():
        known = [sweep.name for sweep in list_sweeps()]
        raise UserError(
            f"{name}: no such sweep in {FOLDER}{suggest_name(name, known) or '; there is none' * (not known)}"
        )
    from pipeline.evaluation.intervals import OF_THE_REALS  # these import numpy and scipy, which takes a second
    from pipeline.sweeping.differences import compare_points, find_front

    sweep, commits = read_sweep(FOLDER / name), find_experiments()
    values: dict[str, dict[int, list[float]]] = {}
    for run, point in ((run, sweep.runs[run].point) for run in sweep.runs if run in commits):
        for metric, value in read_metrics(commits[run]).items():
            if value is not None and not metric.endswith(OF_THE_REALS):
                values.setdefault(metric, {}).setdefault(point, []).append(value)
    missing = [run for run in sweep.runs if run not in commits]
    if len(missing) == len(sweep.runs):
        raise UserError(f"{name}: none of its {len(missing)} runs is done yet; repeat its command to resume it")
    if not values:
        raise UserError(
            f"{name}: its experiments have no metrics in {METRICS}, since points run {', '.join(sweep.origin.stages)}; "
            "`dvc exp apply` one and `dvc repro evaluate`, or sweep again --until evaluate"
        )
    found = compare_points(values)
    both = [found[metric].spreads if metric in found else {} for metric in axes_of_front]
    front = find_front({point: (both[0][point].mean, both[1][point].mean) for point in both[0] if point in both[1]})
    return SweepResults(sweep, found, missing, front)


def _show(results: SweepResults, shown: Sequence[str], trade: str) -> None:
    console = open_console()
    keys, runs = results.keys, results.sweep.points()
    lines = []
    for point, found in results.points.items():
        values = [show_value(found[key]) if key in found else "" for key in keys]
        cells = [_cell(results.metrics[metric].spreads.get(point)) for metric in shown]
        done = sum(run not in results.missing for run in runs[point])
        lines.append([str(point), *values, str(done), *cells, "yes" if point in results.front else ""])
    print_table(console, ["point", *keys, "seeds", *shown, "front"], lines)
    differing = {metric: one for metric, one in results.metrics.items() if one.significant}
    tested = [metric for metric, one in results.metrics.items() if one.p_value is not None]
    if differing:
        rows = ([metric, _show_p_value(one.p_value), _name_pairs(one)] for metric, one in differing.items())
        print_table(console, ["metric", "p-value", "points that differ"], rows, numbers=(1,))
    for line in _summarise(results, len(differing), len(tested), trade):
        console.print(line, highlight=False, markup=False)


def _summarise(results: SweepResults, differing: int, tested: int, trade: str) -> Iterable[str]:
    yield f"{differing} of {tested} metrics differ significantly between points" if tested else _explain(results)
    points = "; ".join(f"{point} ({show_point(results.points[point])})" for point in results.front)
    if points:
        yield f"Pareto front of {trade}: {points}"
    if results.missing:
        names = ", ".join(results.missing)
        yield f"{len(results.missing)} of {len(results.sweep.runs)} runs are missing: {names}; repeat the command"
    for name in results.missing:
        if failure := results.sweep.runs[name].failure:
            yield f"{name} failed: {failure}"


def _explain(results: SweepResults) -> str:
    """Why no metric could be tested."""
    spreads = [spread for one in results.metrics.values() for spread in one.spreads.values()]
    if max(spread.seeds for spread in spreads) == 1:
        return (
            "one seed per point: no intervals or tests over seeds (--seeds 3); `t2v compare A B` has those over clips"
        )
    if max(len(one.spreads) for one in results.metrics.values()) == 1:
        return "only one point is finished: no test over seeds"
    return "the seeds of each point give equal values: no test over seeds"


def _cell(spread: "Spread | None") -> str:
    if spread is None:
        return "n/a"
    if spread.low is None or spread.high is None:
        return f"{spread.mean:.3f}"
    return f"{spread.mean:.3f} ± {(spread.high - spread.low) / 2:.3f}"


def _show_p_value(p_value: float | None) -> str:
    return "" if p_value is None else f"{p_value:.3f}" if p_value >= MIN_P_VALUE else f"< {MIN_P_VALUE}"


def _name_pairs(one: "MetricDifferences") -> str:
    """The differing pairs; if many, the points with the largest and smallest means, and those similar to them."""
    if len(one.significant) <= MAX_PAIRS:
        return ", ".join(f"{a} < {b}" for a, b in one.significant)
    ends = []
    for name, end in (("highest", max), ("lowest", min)):
        point = end(one.spreads, key=lambda point: one.spreads[point].mean)
        alike = ", ".join(map(str, one.find_alike(point)))
        ends.append(f"{name}: {point}" + f" (not significantly different: {alike})" * bool(alike))
    return f"{len(one.significant)} of {len(one.pairs)} pairs; {'; '.join(ends)}"


def _plain(results: SweepResults) -> dict[str, Any]:
    points = [
        {
            "point": point,
            "values": results.sweep.runs[runs[0]].values,
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
            "p_value": one.p_value,
            "significant": one.significant,
            "pairs": [{"points": pair, "p_value": p_value} for pair, p_value in one.pairs.items()],
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


def _draw_report(results: SweepResults, metrics: Sequence[str], trade: tuple[str, str], out: Path) -> None:
    """Write the figure as SVG or PNG, by the suffix of `out`."""
    import vl_convert  # takes a second

    spec = build_spec(results, metrics, trade)
    with atomic_write(out) as temporary:
        if out.suffix.lower() == ".png":
            temporary.write_bytes(vl_convert.vegalite_to_png(spec, scale=PIXELS))
        else:
            temporary.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")


def build_spec(results: SweepResults, metrics: Sequence[str], trade: tuple[str, str]) -> dict[str, Any]:
    """The Vega-Lite specification: a plot for each metric, and one of the trade-off."""
    key = next((key for key in results.keys if len(set(_list_numbers(results, key))) > 1), None)
    plots = [_draw_curves(results, metric, key) if key else _draw_rows(results, metric) for metric in metrics]
    return {
        "title": results.sweep.name,
        "concat": [*plots, _draw_trade(results, trade, key)],
        "columns": COLUMNS,
        "config": {"view": {"continuousWidth": SIDE, "continuousHeight": SIDE}, "axis": {"labelLimit": LABEL_LIMIT}},
    }


def _list_numbers(results: SweepResults, key: str) -> list[float]:
    """The values of a key that can be a numeric axis; empty if one of them is not a number."""
    values = [values[key] for values in results.points.values() if key in values]
    return values if all(map(is_number, values)) else []


def _list_plots(results: SweepResults, metric: str, key: str | None) -> list[dict[str, Any]]:
    """The plotted data of each point: mean and interval, value on the axis `key`, and other values."""
    rows = []
    for point, values in results.points.items():
        if (spread := results.metrics[metric].spreads.get(point)) is None:
            continue
        ends = {"low": spread.low, "high": spread.high} if spread.low is not None else {}
        place = {"x": values[key]} if key in values else {}
        rows.append({"series": _name_series(results, point, key), "mean": spread.mean, "point": point} | ends | place)
    return rows


def _name_series(results: SweepResults, point: int, key: str | None) -> str:
    """The values of a point except that of `key`; of a single key, without its name."""
    others = {name: value for name, value in results.points[point].items() if name != key}
    keys = [name for name in results.keys if name != key]
    return " ".join(map(show_value, others.values())) if len(keys) == 1 or not key else show_point(others)


def _draw_curves(results: SweepResults, metric: str, key: str) -> dict[str, Any]:
    """A line over the values of `key` for each combination of the others; horizontal for points without a value."""
    rows = _list_plots(results, metric, key)
    numbers = _list_numbers(results, key)
    wide = min(numbers) > 0 and max(numbers) / min(numbers) >= WIDE
    scale = {"type": "log", "nice": False, "padding": PADDING} if wide else {"padding": PADDING}
    x = {"field": "x", "title": key, "type": "quantitative", "scale": scale}
    if wide:
        x["axis"] = {"values": sorted(set(numbers)), "labelOverlap": True}
    y, ends = {"y": _measure("mean", metric)}, {"y": _measure("low", metric), "y2": {"field": "high"}}
    curve = [_mark({"type": "rule"}, {"x": x, **ends}), _mark({"type": "line", "point": True}, {"x": x, **y})]
    level = [_mark({"type": "rect", "opacity": FAINT}, ends), _mark({"type": "rule", "strokeDash": [4, 4]}, y)]
    layers = []
    for marks, placed in ((curve, True), (level, False)):
        some = [row for row in rows if ("x" in row) == placed]
        layers += [{"data": {"values": some}, **mark} for mark in (marks if "low" in rows[0] else marks[1:]) if some]
    return {"encoding": _colour(results, key), "layer": layers}


def _draw_rows(results: SweepResults, metric: str) -> dict[str, Any]:
    """A row for each point, if no key is numeric."""
    rows = _list_plots(results, metric, None)
    names = {"field": "series", "type": "nominal", "title": None, "sort": None}
    dot = _mark({"type": "point", "filled": True}, {"x": _measure("mean", metric)})
    rule = _mark({"type": "rule"}, {"x": _measure("low", metric), "x2": {"field": "high"}})
    return {"data": {"values": rows}, "encoding": {"y": names}, "layer": [rule, dot] if "low" in rows[0] else [dot]}


def _draw_trade(results: SweepResults, trade: tuple[str, str], key: str | None) -> dict[str, Any]:
    across, up = ((results.metrics[metric].spreads if metric in results.metrics else {}) for metric in trade)
    both = [point for point in results.points if point in across and point in up]
    named = both if len(both) <= MAX_NAMED else results.front
    rows = [
        {
            "x": across[point].mean,
            "y": up[point].mean,
            "point": f"{point}{' front' * (point in results.front)}" * (point in named),
        }
        | {"series": _name_series(results, point, key)}
        for point in both
    ]
    encoding = {"x": _measure("x", trade[0]), "y": _measure("y", trade[1])} | _colour(results, key)
    dots = {"mark": {"type": "point", "filled": True}}
    labels = {"mark": {"type": "text", "align": "left", "dx": 6}, "encoding": {"text": {"field": "point"}}}
    return {"data": {"values": rows}, "encoding": encoding, "layer": [dots, labels]}


def _colour(results: SweepResults, key: str | None) -> dict[str, Any]:
    """A colour for each series, if there are several."""
    if key is None or len(results.keys) == 1:
        return {}
    return {"color": {"field": "series", "type": "nominal", "title": None, "sort": None}}


def _mark(mark: dict[str, Any], encoding: dict[str, Any]) -> dict[str, Any]:
    return {"mark": mark, "encoding": encoding}


def _measure(field: str, title: str) -> dict[str, Any]:
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": False}}
