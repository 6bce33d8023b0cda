"""The figures of an evaluation, each next to that of real clips and that of chance or noise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.evaluation.intervals import OF_THE_REALS, Figure, read_figures
from pipeline.page.run import Run, parse_number, read_object, read_rows
from pipeline.page.texts import KEY_METRICS, METRIC_GROUPS, OWN_METRICS, MetricText, describe_metric

FLOORS = ("shuffled captions", "noise")  # sets whose figure counts as 0, the first that does
CEILINGS = ("real test", "real val")  # the same for 1
BESIDE = 1.15  # end of a bar, where 1 is what real clips get


class Mark(NamedTuple):
    """A figure on a scale from its floor, 0 %, to its ceiling, in percent of the width of a bar."""

    value: float
    low: float
    high: float
    real: float


@dataclass(frozen=True)
class Line:
    """A line of the table of figures."""

    name: str
    text: MetricText
    figure: Figure
    real: Figure | None
    floor: float | None
    floor_set: str
    mark: Mark | None


class Cells(NamedTuple):
    """A table as it is: names of columns and rows of text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class EvaluationView:
    """All that the page shows of an evaluation."""

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
        """How many demands on the planted controls were met."""
        return sum(row["passed"] == "yes" for row in self.controls)

    @property
    def tried(self) -> int:
        """How many were tried."""
        return sum(row["passed"] in ("yes", "no") for row in self.controls)

    @property
    def withdrawn(self) -> list[str]:
        """The metrics that a planted control did not move."""
        return [str(name) for name in read_list(self.protocol.get("withdrawn"))]


def read_evaluation(run: Run) -> EvaluationView | None:
    """The evaluation of a run; None where there is none. Raises UserError where its files are broken."""
    folder = run.folders.evaluation
    if not (folder / "intervals.json").is_file():
        return None
    table = read_rows(folder / "table.csv")
    lines = build_lines(read_figures(folder / "intervals.json"), table)
    by_name = {line.name: line for line in lines}
    return EvaluationView(
        key=[by_name[name] for name in KEY_METRICS if name in by_name],
        groups=group_lines(by_name),
        controls=[row for row in read_rows(folder / "controls.csv") if {"metric", "control", "passed"} <= row.keys()],
        objects=tabulate(read_rows(folder / "objects.csv")),
        categories=tabulate(read_rows(folder / "categories.csv")),
        words=tabulate(read_rows(folder / "words.csv")),
        logits=tabulate(read_rows(folder / "logits.csv")),
        everything=tabulate([row for row in table if row.get("value")]),
        protocol=read_object(folder / "protocol.json"),
    )


def build_lines(figures: Mapping[str, Figure], table: Sequence[Mapping[str, str]]) -> list[Line]:
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
    """The set of clips whose figure is this end of the metric's scale; empty where it has no scale."""
    for name in sets:
        if (name, metric) in cells and parse_number(cells[name, metric].get("scaled")) == value:
            return name
    return ""


def place_mark(figure: Figure, floor: float | None, ceiling: float | None) -> Mark | None:
    """Where the figure is drawn; None where it has no value or no scale."""
    if figure.value is None or floor is None or ceiling is None or floor == ceiling:
        return None

    def place(value: float) -> float:
        share = (value - floor) / (ceiling - floor) / BESIDE
        return round(100 * min(max(share, 0.0), 1.0), 2)

    ends = [figure.value if end is None else end for end in (figure.low, figure.high)]
    low, high = sorted(map(place, ends))
    return Mark(place(figure.value), low, high, place(ceiling))


def group_lines(lines: Mapping[str, Line]) -> dict[str, list[Line]]:
    """The lines under their headings; metrics that a user has added come last."""
    groups = {title: [lines[name] for name in names if name in lines] for title, names in METRIC_GROUPS.items()}
    known = {name for names in METRIC_GROUPS.values() for name in names}
    groups[OWN_METRICS] = [line for name, line in lines.items() if name not in known]
    return {title: some for title, some in groups.items() if some}


def tabulate(rows: Sequence[Mapping[str, str]]) -> Cells:
    """Rows by name as columns and cells."""
    columns = [name for name in (rows[0] if rows else {}) if name]
    return Cells(columns, [[str(row.get(name) or "") for name in columns] for row in rows])


def read_list(value: object) -> list[object]:
    """A JSON list; empty where it is none."""
    return value if isinstance(value, list) else []


def _read_figure(row: Mapping[str, str]) -> Figure:
    value, low, high = (parse_number(row.get(name)) for name in ("value", "low", "high"))
    return Figure(value, low, high, int(parse_number(row.get("clips")) or 0), row.get("note") or "")
