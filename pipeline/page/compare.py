"""Several runs side by side: the params and the figures that differ."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.evaluation.intervals import OF_THE_REALS, Difference, Figure, find_differences, read_figures
from pipeline.page.run import Run, flatten
from pipeline.page.texts import ORDER

Settings = dict[str, list[object]]
ABSENT = "–"  # noqa: RUF001  of a param that a run does not have

NO_FIGURE = Figure(None, reason="not evaluated")


class Span(NamedTuple):
    """A figure on an axis that all runs share, in percent of its width."""

    value: float
    low: float
    high: float


class RunFigure(NamedTuple):
    """The figure of one run, where it is drawn, and whether it differs from the first run's by more than chance."""

    run: str
    figure: Figure
    span: Span | None
    differs: str


def compare_params(runs: Sequence[Run]) -> Settings:
    """Dotted key -> its value in each run, of the keys that differ."""
    trees = [flatten(run.settings) for run in runs]
    keys = dict.fromkeys(key for tree in trees for key in tree)
    rows = {key: [tree.get(key, ABSENT) for tree in trees] for key in keys}
    return {key: values for key, values in rows.items() if any(value != values[0] for value in values)}


def compare_figures(runs: Sequence[Run]) -> dict[str, list[RunFigure]]:
    """Metric -> the figure of each run, of the metrics that at least one run has a value of."""
    tables = [_read_evaluated(run) for run in runs]
    told = dict.fromkeys(name for table in tables for name in table if not name.endswith(OF_THE_REALS))
    names = [*(name for name in ORDER if name in told), *(name for name in told if name not in ORDER)]
    differences = [find_differences(tables[0], table) for table in tables]
    found = {}
    for name in names:
        figures = [table.get(name, NO_FIGURE) for table in tables]
        if any(figure.value is not None for figure in figures):
            verdicts = [_name_difference(own.get(name)) for own in differences]
            spans = place_spans(figures)
            found[name] = [
                RunFigure(run.name, figure, span, differs)
                for run, figure, span, differs in zip(runs, figures, spans, verdicts, strict=True)
            ]
    return found


def place_spans(figures: Sequence[Figure]) -> list[Span | None]:
    """The figures on one axis from the lowest end of an interval to the highest."""
    ends = [end for figure in figures for end in (figure.value, figure.low, figure.high) if end is not None]
    least, most = min(ends), max(ends)

    def place(value: float) -> float:
        return 50.0 if most == least else round(3 + 94 * (value - least) / (most - least), 2)

    spans: list[Span | None] = []
    for figure in figures:
        if figure.value is None:
            spans.append(None)
        else:
            low, high = (figure.value if end is None else end for end in (figure.low, figure.high))
            spans.append(Span(place(figure.value), place(low), place(high)))
    return spans


def _read_evaluated(run: Run) -> Mapping[str, Figure]:
    path = run.folders.evaluation / "intervals.json"
    return read_figures(path) if path.is_file() else {}


def _name_difference(found: Difference | None) -> str:
    if found is None or found.value is None or not found.real:
        return ""
    return "higher" if found.value > 0 else "lower"
