"""The results of a run: training logs as charts, and the figures of its evaluation.

Related columns of logs share a chart. Figures are shown next to those of real clips, of chance or noise, and of other
runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.evaluation.intervals import OF_THE_REALS, Difference, Figure, find_differences, read_figures
from pipeline.files import read_product
from pipeline.page.run import Run, flatten, format_setting, parse_number, read_rows
from pipeline.page.texts import KEY_METRICS, METRIC_GROUPS, ORDER, OWN_METRICS, MetricText, describe_metric

FLOORS = ("shuffled captions", "noise")  # candidate sets for the 0 of a scale, in order
CEILINGS = ("real test", "real val")  # the same for the 1
BESIDE = 1.15  # end of a bar; 1 is the figure of real clips

Settings = dict[str, list[object]]
ABSENT = "–"  # noqa: RUF001  for a param that a run does not have
LONGEST_POINT = 40  # characters

NO_FIGURE = Figure(None, reason="not evaluated")

X = "clips"
FILES = {"history.csv": "training", "validation.csv": "validation"}
# Kind of column -> title and explanation of its chart.
TITLES = {
    "loss": (
        "Losses",
        "What the networks minimise. Those of generator and discriminator balance each other, so they need not fall; "
        "one that diverges is a bad sign.",
    ),
    "logits": (
        "Mean logits of real and generated clips",
        "The closer they are, the less the discriminator can tell real from generated clips, which is good.",
    ),
    "penalty": ("Penalties", "Squared gradient norms of the discriminator, which the penalties keep small."),
    "gradient": ("Gradient norms", "Of all weights of a network, before clipping. A steep rise announces divergence."),
    "lr": ("Learning rates", ""),
    "gamma": ("Weights of the penalties", ""),
    "augmentation": ("Probability of augmentation", "Of each kind of transform."),
    "ema": ("Decay of the weight average per step", ""),
    "discrepancy": ("Discrepancy of samples from val clips", "It should fall; 0 is equal."),
    "motion": ("Share of samples that move in the captioned direction", "It should rise to 1."),
    "discriminator": (
        "Has the discriminator memorised its clips?",
        "gap: mean logit of training clips minus that of unseen ones, near 0 if nothing is memorised. gap generated: "
        "that of unseen clips minus that of samples.",
    ),
}

Points = dict[float, float | None]


class Mark(NamedTuple):
    """A figure on the scale from floor to ceiling, in percent of the width of a bar."""

    value: float
    low: float
    high: float
    real: float


@dataclass(frozen=True)
class Line:
    """A row of the table of figures."""

    name: str
    text: MetricText
    figure: Figure
    real: Figure | None
    floor: float | None
    floor_set: str
    mark: Mark | None

    @property
    def absent(self) -> bool:
        """Whether it was not measured; withdrawn metrics were, but are unreliable."""
        return self.figure.value is None and not self.figure.reason.startswith("withdrawn")


class Cells(NamedTuple):
    """A table as text: column names and rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class EvaluationView:
    """The evaluation as shown on the page."""

    key: Sequence[Line]
    groups: Mapping[str, Sequence[Line]]
    controls: Sequence[Mapping[str, str]]
    objects: Cells
    categories: Cells
    words: Cells
    logits: Cells
    everything: Cells
    protocol: Mapping[str, object]

    @property
    def met(self) -> int:
        """The number of satisfied requirements on planted controls."""
        return sum(row["passed"] == "yes" for row in self.controls)

    @property
    def tried(self) -> int:
        """The number of tested requirements."""
        return sum(row["passed"] in ("yes", "no") for row in self.controls)

    @property
    def withdrawn(self) -> list[str]:
        """The metrics that failed a planted control."""
        return [str(name) for name in read_list(self.protocol.get("withdrawn"))]


def read_evaluation(run: Run) -> EvaluationView | None:
    """The evaluation of a run; None if there is none. Raises UserError if its files are broken."""
    folder = run.folders.evaluation
    if not (folder / "intervals.json").is_file():
        return None
    table = read_rows(folder / "table.csv")
    lines = _build_lines(read_figures(folder / "intervals.json"), table)
    by_name = {line.name: line for line in lines}
    return EvaluationView(
        key=[by_name[name] for name in KEY_METRICS if name in by_name],
        groups=_group_lines(by_name),
        controls=[row for row in read_rows(folder / "controls.csv") if {"metric", "control", "passed"} <= row.keys()],
        objects=_tabulate(read_rows(folder / "objects.csv")),
        categories=_tabulate(read_rows(folder / "categories.csv")),
        words=_tabulate(read_rows(folder / "words.csv")),
        logits=_tabulate(read_rows(folder / "logits.csv")),
        everything=_tabulate([row for row in table if row.get("value")]),
        protocol=read_product(folder / "protocol.json"),
    )


def _build_lines(figures: Mapping[str, Figure], table: Sequence[Mapping[str, str]]) -> list[Line]:
    """A line for each figure of the generator."""
    cells = {(row.get("set", ""), row.get("metric", "")): row for row in table}
    return [_build_line(name, figures, cells) for name in figures if not name.endswith(OF_THE_REALS)]


def _build_line(name: str, figures: Mapping[str, Figure], cells: Mapping[tuple[str, str], Mapping[str, str]]) -> Line:
    metric, figure = name.removeprefix("pairs_"), figures[name]
    ceiling = find_end(metric, CEILINGS, 1.0, cells)
    real = next((figures[f"{name}{end}"] for end in OF_THE_REALS if f"{name}{end}" in figures), None)
    if real is None and (ceiling or CEILINGS[0], metric) in cells:
        real = _read_figure(cells[ceiling or CEILINGS[0], metric])
    floor_set = find_end(metric, FLOORS, 0.0, cells)
    floor = parse_number(cells[floor_set, metric].get("value")) if floor_set else None
    top = parse_number(cells[ceiling, metric].get("value")) if ceiling else None
    return Line(name, describe_metric(name), figure, real, floor, floor_set, place_mark(figure, floor, top))


def find_end(metric: str, sets: Iterable[str], value: float, cells: Mapping[tuple[str, str], Mapping[str, str]]) -> str:
    """The set of clips that defines this end of the metric's scale; empty if there is none."""
    for name in sets:
        if (name, metric) in cells and parse_number(cells[name, metric].get("scaled")) == value:
            return name
    return ""


def place_mark(figure: Figure, floor: float | None, ceiling: float | None) -> Mark | None:
    """The position of a figure on its scale; None if it has no value or no scale."""
    if figure.value is None or floor is None or ceiling is None or floor == ceiling:
        return None

    def place(value: float) -> float:
        share = (value - floor) / (ceiling - floor) / BESIDE
        return round(100 * min(max(share, 0.0), 1.0), 2)

    ends = [figure.value if end is None else end for end in (figure.low, figure.high)]
    low, high = sorted(map(place, ends))
    return Mark(place(figure.value), low, high, place(ceiling))


def _group_lines(lines: Mapping[str, Line]) -> dict[str, list[Line]]:
    """The lines by heading; custom metrics are last."""
    groups = {title: [lines[name] for name in names if name in lines] for title, names in METRIC_GROUPS.items()}
    known = {name for names in METRIC_GROUPS.values() for name in names}
    groups[OWN_METRICS] = [line for name, line in lines.items() if name not in known]
    return {title: some for title, some in groups.items() if some}


def _tabulate(rows: Sequence[Mapping[str, str]]) -> Cells:
    """Rows of named cells as a table."""
    columns = [name for name in (rows[0] if rows else {}) if name]
    return Cells(columns, [[str(row.get(name) or "") for name in columns] for row in rows])


def read_list(value: object) -> list[object]:
    """A JSON list; empty for anything else."""
    return value if isinstance(value, list) else []


def _read_figure(row: Mapping[str, str]) -> Figure:
    value, low, high = (parse_number(row.get(name)) for name in ("value", "low", "high"))
    return Figure(value, low, high, int(parse_number(row.get("clips")) or 0), row.get("note") or "")


class Span(NamedTuple):
    """A figure on an axis shared by all runs, in percent of its width."""

    value: float
    low: float
    high: float


class RunFigure(NamedTuple):
    """The figure of one run, its position, and whether it differs significantly from the first run's."""

    run: str
    figure: Figure
    span: Span | None
    differs: str


def compare_params(runs: Sequence[Run]) -> Settings:
    """Dotted key -> value in each run, for the keys that differ."""
    trees = [flatten(run.settings) for run in runs]
    keys = dict.fromkeys(key for tree in trees for key in tree)
    rows = {key: [tree.get(key, ABSENT) for tree in trees] for key in keys}
    return {key: values for key, values in rows.items() if any(value != values[0] for value in values)}


def name_points(names: Sequence[str], params: Settings) -> list[str]:
    """The labels of runs: for points of a sweep, the differing params if they are short; else their names.

    Points are runs with the same name and a number.
    """
    sweeps = {name.rpartition("-")[0] if name.rpartition("-")[2].isdigit() else "" for name in names}
    short = ["seed" if key == "training_seed" else key.rpartition(".")[2] for key in params]
    keys = short if len(set(short)) == len(short) else list(params)
    points = [
        ", ".join(f"{key} {format_setting(values[place])}" for key, values in zip(keys, params.values(), strict=True))
        for place in range(len(names))
    ]
    apart = len(set(points)) == len(points) and max(map(len, points)) <= LONGEST_POINT
    return points if len(sweeps) == 1 and "" not in sweeps and apart else list(names)


def compare_figures(runs: Sequence[Run]) -> dict[str, list[RunFigure]]:
    """Metric -> the figure of each run, for metrics with a value in at least one run."""
    tables = [_read_evaluated(run) for run in runs]
    measured = dict.fromkeys(name for table in tables for name in table if not name.endswith(OF_THE_REALS))
    names = [*(name for name in ORDER if name in measured), *(name for name in measured if name not in ORDER)]
    differences = [find_differences(tables[0], table) for table in tables]
    found = {}
    for name in names:
        figures = [table.get(name, NO_FIGURE) for table in tables]
        if any(figure.value is not None for figure in figures):
            verdicts = [_name_difference(own.get(name)) for own in differences]
            spans = _place_spans(figures)
            found[name] = [
                RunFigure(run.name, figure, span, differs)
                for run, figure, span, differs in zip(runs, figures, spans, verdicts, strict=True)
            ]
    return found


def _place_spans(figures: Sequence[Figure]) -> list[Span | None]:
    """The figures on one axis, which spans all intervals."""
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
    if found is None or found.value is None or not found.significant:
        return ""
    return "higher" if found.value > 0 else "lower"


@dataclass(frozen=True)
class Chart:
    """Series over the number of clips shown, with an explanation; `rows` have x and one value per series, or None."""

    key: str
    title: str
    meaning: str
    series: Sequence[str]
    rows: Sequence[Sequence[float | None]]


def read_charts(runs: Sequence[Run]) -> list[Chart]:
    """One chart per kind of logged column; for several runs, one per column."""
    found: dict[tuple[str, str], dict[str, Points]] = {}
    for run in runs:
        for file in FILES:
            table = read_rows(run.folders.model / file)
            for column in [name for name in (table[0] if table else {}) if name and name != X]:
                kind = column if len(runs) > 1 else column.partition("_")[0]
                series = run.name if len(runs) > 1 else _name_series(column)
                found.setdefault((file, kind), {})[series] = _read_points(table, column)
    return [_build_chart(file, kind, series) for (file, kind), series in found.items() if any(series.values())]


def _read_points(table: Sequence[Mapping[str, str]], column: str) -> Points:
    pairs = ((parse_number(row.get(X)), parse_number(row.get(column))) for row in table)
    return {x: y for x, y in pairs if x is not None}


def _build_chart(file: str, kind: str, series: Mapping[str, Points]) -> Chart:
    places = sorted({x for points in series.values() for x in points})
    rows = [[x, *(points.get(x) for points in series.values())] for x in places]
    title, meaning = TITLES.get(kind.partition("_")[0], ("", ""))
    if kind not in TITLES:
        title = kind.replace("_", " ").capitalize()
    return Chart(f"{FILES[file]}-{kind}", f"{title} ({FILES[file]})", meaning, list(series), rows)


def _name_series(column: str) -> str:
    """The name of a column in the chart of its kind: loss_generator -> generator."""
    kind, _, rest = column.partition("_")
    return (rest if rest and kind in TITLES else column).replace("_", " ")
