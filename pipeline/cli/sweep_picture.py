"""The curves of a sweep as a picture: each metric against a swept value, and the trade-off of two metrics."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.files import replacing
from pipeline.sweeping.axes import show_point

if TYPE_CHECKING:
    from pipeline.cli.sweep_report import SweepReport

WIDE = 20  # the largest value to the smallest from which on they are laid out by their logarithms
PIXELS = 2.0  # of a png, per unit of the drawing
SIDE = 220


def draw_report(told: "SweepReport", metrics: Sequence[str], trade: tuple[str, str], out: Path) -> None:
    """Write the picture as SVG or PNG, by the ending of `out`."""
    import vl_convert  # takes a second

    spec = build_spec(told, metrics, trade)
    with replacing(out) as temporary:
        if out.suffix.lower() == ".png":
            temporary.write_bytes(vl_convert.vegalite_to_png(spec, scale=PIXELS))
        else:
            temporary.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")


def build_spec(told: "SweepReport", metrics: Sequence[str], trade: tuple[str, str]) -> dict[str, Any]:
    """The Vega-Lite of the picture: a plot for each metric, and one of the two of the trade-off."""
    points = list(told.sweep.points())
    key = next((key for key in told.values(1) if all(_is_number(told.values(point)[key]) for point in points)), None)
    swept = [told.values(point)[key] for point in points] if key else []
    wide = bool(swept) and min(swept) > 0 and max(swept) / min(swept) >= WIDE
    x = {
        "field": "x",
        "title": key or "point",
        "type": "quantitative" if key else "nominal",
        **({"scale": {"type": "log"}} if wide else {}),
    }
    curves = [_draw_metric(told, metric, key, x) for metric in metrics]
    return {
        "title": told.sweep.name,
        "concat": [*curves, _draw_trade(told, trade)],
        "columns": 3,
        "config": {"view": {"continuousWidth": SIDE, "continuousHeight": SIDE}},
    }


def _draw_metric(told: "SweepReport", metric: str, key: str | None, x: dict[str, Any]) -> dict[str, Any]:
    rows = []
    for point, spread in told.found[metric].spreads.items():
        values = told.values(point)
        others = {name: value for name, value in values.items() if name != key}
        ends = {"low": spread.low, "high": spread.high} if spread.low is not None else {}
        rows.append(
            {"x": values[key] if key else show_point(values), "others": show_point(others), "mean": spread.mean} | ends
        )
    line = {"mark": {"type": "line", "point": True}, "encoding": {"y": _measure("mean", metric)}}
    rule = {"mark": "rule", "encoding": {"y": _measure("low", metric), "y2": {"field": "high"}}}
    colour = {"field": "others", "type": "nominal", "title": None}
    several = key is not None and len(told.values(1)) > 1
    return {
        "data": {"values": rows},
        "encoding": {"x": x, **({"color": colour} if several else {})},
        "layer": [rule, line] if any("low" in row for row in rows) else [line],
    }


def _draw_trade(told: "SweepReport", trade: tuple[str, str]) -> dict[str, Any]:
    across, up = ((told.found[metric].spreads if metric in told.found else {}) for metric in trade)
    names = {point: f"{point}{' front' * (point in told.front)}" for point in across if point in up}
    rows = [{"x": across[point].mean, "y": up[point].mean, "point": name} for point, name in names.items()]
    encoding = {"x": _measure("x", trade[0]), "y": _measure("y", trade[1])}
    dots = {"mark": {"type": "point", "filled": True}}
    labels = {"mark": {"type": "text", "align": "left", "dx": 6}, "encoding": {"text": {"field": "point"}}}
    return {"data": {"values": rows}, "encoding": encoding, "layer": [dots, labels]}


def _measure(field: str, title: str) -> dict[str, Any]:
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": False}}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
