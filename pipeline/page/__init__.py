"""A self-contained HTML page of a run, or of several side by side: it needs no network, server or other file.

Equal runs give equal bytes. Everything that comes from a run is escaped by the templates. The page loads nothing: its
policy allows only inline styles and scripts, by their digests, and inline images.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.errors import UserError
from pipeline.evaluation.intervals import Figure
from pipeline.page.figures import Chart, compare_figures, compare_params, name_points, read_charts, read_evaluation
from pipeline.page.overview import draw_graph, read_stages, summarise_run
from pipeline.page.run import Run, flatten, format_setting, parse_number
from pipeline.page.strips import Sheet, align_samples, read_data, read_grid, read_pictures
from pipeline.page.texts import KEY_METRICS, describe_metric
from pipeline.page.widgets import (
    POLICY,
    WIDGETS,
    Widget,
    embed_json,
    mark_code,
    open_widget,
)
from pipeline.params import ReportParams
from pipeline.records import Progress, no_progress

Part = TypeVar("Part")

TEMPLATES = Path(__file__).with_name("templates")
SCRIPTS = ("uplot/uPlot.iife.min.js", "page.js")
PICTURES = ("opposites", "nearest", "worst", "words")
NO_INTERVAL = "–"  # noqa: RUF001


def build_page(run: Run, options: ReportParams, fps: int, progress: Progress = no_progress) -> str:
    """The page of one run; missing parts are omitted."""
    with progress("report", 5 + len(PICTURES) + len(WIDGETS)) as advance:
        done = partial(_pass_on, advance)
        evaluation = done(read_evaluation(run))
        stages = done(read_stages(run, evaluation))
        sheets = done(read_grid(run, options.captions))
        pictures = {name: done(read_pictures(run, name)) for name in PICTURES}
        data = done(read_data(run, options.clips))
        charts = done(read_charts([run]))
        widgets = {name: done(open_widget(run, fps, build)) for name, build in WIDGETS.items()}
    shown = [*sheets, *data, *(Sheet("", cards) for cards in pictures.values())]
    return _render(
        "run.html",
        _find_shapes(shown),
        fps,
        charts,
        widgets,
        run=run,
        summary=summarise_run(run, evaluation),
        evaluation=evaluation,
        stages=stages,
        drawing=draw_graph(stages),
        sheets=sheets,
        pictures=pictures,
        data=data,
        settings=flatten(run.settings),
    )


def build_comparison(runs: Sequence[Run], options: ReportParams, fps: int, progress: Progress = no_progress) -> str:
    """The page of several runs side by side. Raises UserError if two have the same name."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise UserError(f"{', '.join(names)}: two runs have the same name; give each folder once")
    params = compare_params(runs)
    named = [replace(run, name=name) for run, name in zip(runs, name_points(names, params), strict=True)]
    with progress("report", 3 + len(runs)) as advance:
        done = partial(_pass_on, advance)
        block, sheets = done(align_samples(named, options.captions))
        charts = done(read_charts(named))
        summaries = [done(summarise_run(run, read_evaluation(run))) for run in runs]
        comparisons = done(compare_figures(named))
    return _render(
        "runs.html",
        _find_shapes(sheets),
        fps,
        charts,
        {},
        runs=runs,
        labels=[run.name for run in named],
        summaries=summaries,
        params=params,
        comparisons=comparisons,
        key_metrics=KEY_METRICS,
        block=block,
        sheets=sheets,
    )


def _pass_on(advance: Callable[[], None], part: Part) -> Part:
    """Count a part of the page as done, and return it."""
    advance()
    return part


def _find_shapes(sheets: Sequence[Sheet]) -> list[tuple[int, int, int]]:
    """The shapes of all clips on the page, for the style sheet."""
    return sorted({strip.shape for sheet in sheets for card in sheet.cards for strip in card.strips})


def _render(
    template: str,
    shapes: Sequence[tuple[int, int, int]],
    fps: int,
    charts: Sequence[Chart],
    widgets: Mapping[str, Widget | None],
    **given: Any,
) -> str:
    environment = _open_templates()
    own = environment.get_template("style.css").render(shapes=shapes, fps=fps)
    there = [widget for widget in widgets.values() if widget]
    style = Markup("\n".join([own, _read("uplot/uPlot.min.css"), *(widget.style for widget in there)]))
    scripts = [Markup(text) for text in (*map(_read, SCRIPTS), *(widget.script for widget in there)) if text]
    return environment.get_template(template).render(
        policy=_build_policy(style, scripts, draws=any(widget.script for widget in there)),
        widgets={
            name: widget and {"reason": widget.reason, "html": Markup(widget.html)} for name, widget in widgets.items()
        },
        widget_data=Markup("".join(widget.data for widget in there)),
        style=style,
        scripts=scripts,
        shapes=shapes,
        fps=fps,
        charts=charts,
        chart_data=embed_json([{"key": chart.key, "series": chart.series, "rows": chart.rows} for chart in charts]),
        **given,
    )


def _build_policy(style: str, scripts: Sequence[str], *, draws: bool) -> str:
    """The Content-Security-Policy, which allows inline content only; `draws`: the generator is in the page."""
    policy = {
        "default-src": ["'none'"],
        "img-src": ["data:"],
        "style-src": [_digest(style)],
        "script-src": [_digest(script) for script in scripts],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    for name, sources in POLICY.items() if draws else ():
        policy[name] = [*policy.get(name, []), *sources]
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in policy.items())


@cache
def _open_templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"value": format_value, "span": _format_span, "cell": format_cell, "setting": format_setting}
    environment.filters["prose"] = mark_code
    environment.globals["describe_metric"] = describe_metric
    return environment


@cache
def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """The policy source that allows exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def format_value(number: float | None) -> str:
    """A figure with two decimals, or two significant digits if it is below 0.1; a dash for None."""
    if number is None:
        return NO_INTERVAL
    size = abs(number)
    if size >= 10:
        return f"{number:,.0f}" if size >= 1000 else f"{number:.1f}"
    return f"{number:.2f}" if size >= 0.1 or number == 0 else f"{number:.2g}"


def format_cell(text: str) -> str:
    """A cell of a table: text and integers unchanged, other numbers as figures."""
    number = parse_number(text)
    return text if number is None or "." not in text else format_value(number)


def _format_span(figure: Figure) -> str:
    """The interval of a figure; empty if it has none."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{format_value(figure.low)} to {format_value(figure.high)}"
