"""The logs of a training as charts; columns that belong together share a chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.page.run import Run, parse_number, read_rows

X = "clips"
FILES = {"history.csv": "training", "validation.csv": "validation"}
# Kind of column -> the title of its chart, and how it is read.
TITLES = {
    "loss": (
        "Losses",
        "What the networks minimise. Those of generator and discriminator balance each other, so they need not fall; "
        "one that runs away is a bad sign.",
    ),
    "logits": (
        "Scores of real and generated clips",
        "Mean logits of the discriminator. Near each other: it can hardly tell them apart, which is good.",
    ),
    "penalty": ("Penalties", "Squared gradient norms of the discriminator, which the penalties keep small."),
    "discrepancy": ("Distance of samples to unseen clips", "Of the split val. It should fall; 0 is equal."),
    "motion": ("Share of samples that move the captioned way", "It should rise to 1."),
    "discriminator": (
        "Has the discriminator memorised its clips?",
        "gap: scores of training clips above unseen ones, near 0 if nothing is memorised. gap generated: unseen clips "
        "above samples.",
    ),
}

Points = dict[float, float | None]


@dataclass(frozen=True)
class Chart:
    """Series over the number of clips shown, and how they are read; `rows` hold x and one value per series, None where
    there is none."""

    key: str
    title: str
    meaning: str
    series: Sequence[str]
    rows: Sequence[Sequence[float | None]]


def read_charts(runs: Sequence[Run]) -> list[Chart]:
    """One chart for each kind of column that a run has logged; of several runs one for each column."""
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
    """A column as it is called in the chart of its kind: loss_generator -> generator."""
    kind, _, rest = column.partition("_")
    return (rest if rest and kind in TITLES else column).replace("_", " ")
