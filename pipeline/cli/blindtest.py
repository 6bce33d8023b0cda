"""`t2v blindtest`: how often people can tell real clips from generated ones, from answer sheets saved on the page."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline.cli.commands import JsonOption
from pipeline.cli.printing import cell, open_console, print_table
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.evaluation.intervals import Figure

COLUMNS = ["test", "person", "pair", "answer", "real"]
SIDES = ("left", "right")
EVERYONE = "all people"
BESIDE = ("two_sample_frames", "two_sample_motion")  # the same test by a network
EVALUATION = Path("data/evaluation")
LONGEST = 10_000_000  # bytes of a sheet, at most
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """One row of a sheet."""

    test: str
    person: str
    pair: int
    answer: str
    real: str
    where: str  # the file and its line

    @property
    def is_right(self) -> bool:
        return self.answer == self.real


def blindtest(
    sheets: Annotated[list[Path], typer.Argument(help="answer sheets saved by the page, each of one or more people")],
    evaluation: Annotated[
        Path, typer.Option(help="evaluation whose two-sample tests are shown for comparison")
    ] = EVALUATION,
    as_json: JsonOption = False,
) -> None:
    """Show how often people recognise the real clip of a pair, with 95 % intervals.

    Guessing is right half of the time. The interval over all people includes the variation between people and pairs;
    with a single person, it is valid for that person only.

    Example: t2v blindtest blind-test-Ann.csv blind-test-Bob.csv
    """
    by_person = read_sheets(sheets)
    figures = measure_people(by_person)
    judges = _read_judges(evaluation)
    if as_json:
        print(json.dumps({name: figure._asdict() for name, figure in (figures | judges).items()}, indent=2))
        return
    console = open_console()
    lines = [[name, str(figure.clips), cell(figure)] for name, figure in (figures | judges).items()]
    print_table(console, ["who", "answers", "correct"], lines)
    console.print(_conclude(figures[EVERYONE]), highlight=False)


def read_sheets(paths: Sequence[Path]) -> dict[str, list[Answer]]:
    """The answers of each person. Raises UserError with file and line for anything that is not an answer sheet."""
    answers = [answer for path in paths for answer in _read_sheet(path)]
    if not answers:
        raise UserError(f"{', '.join(map(str, paths))}: no answers; save the answers on the page first")
    given: dict[tuple[str, int], Answer] = {}
    truth: dict[int, Answer] = {}
    by_person: dict[str, list[Answer]] = {}
    for one in answers:
        if one.test != answers[0].test:
            raise UserError(
                f"{one.where}: of test {one.test}, but {answers[0].where} is of {answers[0].test}: answers about two "
                "models cannot be combined; give the sheets of one page"
            )
        if first := given.get((one.person, one.pair)):
            raise UserError(
                f"{one.where}: {one.person} has answered pair {one.pair} already ({first.where}); give each sheet "
                "once, and each person a name of their own"
            )
        if truth.setdefault(one.pair, one).real != one.real:
            raise UserError(
                f"{one.where}: says that the real clip of pair {one.pair} is {one.real}, {truth[one.pair].where} says "
                f"{truth[one.pair].real}; save the answers again"
            )
        given[one.person, one.pair] = one
        by_person.setdefault(one.person, []).append(one)
    return by_person


def _read_sheet(path: Path) -> list[Answer]:
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file; the page of a run saves it") from None
    if len(data) > LONGEST:
        raise UserError(f"{path}: larger than {LONGEST // 1_000_000} MB, so not an answer sheet")
    try:
        text = data.decode("utf-8-sig")
        # A spreadsheet writes semicolons where the comma is the decimal sign.
        separator = ";" if text.startswith(";".join(COLUMNS)) else ","
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error}); save it as CSV UTF-8, or save the answers again") from None
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV table ({error}); save the answers again") from None
    if not rows or rows[0] != COLUMNS:
        raise UserError(f"{path}, line 1: must name the columns {','.join(COLUMNS)}; save the answers again")
    # A spreadsheet writes cells for rows that were emptied, too.
    return [_read_answer(row, f"{path}, line {line}") for line, row in enumerate(rows[1:], 2) if any(row)]


def _read_answer(row: list[str], where: str) -> Answer:
    if len(row) != len(COLUMNS):
        raise UserError(f"{where}: {len(row)} cells, not {len(COLUMNS)}; save the answers again")
    test, person, pair, answer, real = (cell.strip() for cell in row)
    for name, value in (("answer", answer), ("real", real)):
        if value not in SIDES:
            raise UserError(f"{where}: {name} is {value!r}, not {' or '.join(SIDES)}; correct it")
    if not re.fullmatch(r"[1-9][0-9]{0,5}", pair):
        raise UserError(f"{where}: pair is {pair!r}, not a number from 1; correct it")
    if not person or not test:
        raise UserError(f"{where}: has no {'test' if person else 'person'}; fill it in")
    if person == EVERYONE:
        raise UserError(f"{where}: {person!r} is reserved for the total; give the person another name")
    return Answer(test, person, int(pair), answer, real, where)


def measure_people(by_person: Mapping[str, Sequence[Answer]]) -> "dict[str, Figure]":
    """The share of right answers of each person, and the mean over people, each with the same weight."""
    from pipeline.evaluation.intervals import Figure, interval, interval_of_share

    rng = np.random.default_rng(0)
    right = {person: np.array([one.is_right for one in own], np.float64) for person, own in by_person.items()}
    figures = {person: Figure(float(own.mean()), *interval_of_share(own), len(own)) for person, own in right.items()}
    shares, everyone = [float(own.mean()) for own in right.values()], list(right.values())

    def draw_again(people: NDArray[np.int64]) -> float:
        return float(np.mean([rng.choice(everyone[person], len(everyone[person])).mean() for person in people]))

    answers = np.concatenate(everyone)
    # If all answers are equal, all resamples are too, and their interval has no width.
    degenerate = len(np.unique(answers)) == 1
    low, high = interval_of_share(answers) if degenerate else interval(len(everyone), RESAMPLES, rng, draw_again)
    return figures | {EVERYONE: Figure(float(np.mean(shares)), low, high, len(answers))}


def _read_judges(folder: Path) -> "dict[str, Figure]":
    """The figures of an evaluation for the same test by a network; empty if the default folder has none.

    Raises UserError for any other folder without an evaluation.
    """
    from pipeline.evaluation.intervals import read_figures

    path = folder / "intervals.json"
    if not path.is_file():
        if folder != EVALUATION:
            raise UserError(f"{path}: no such file; --evaluation names the folder of a run's evaluation")
        return {}
    found = read_figures(path)
    return {name: found[name] for name in BESIDE if name in found and found[name].value is not None}


def _conclude(figure: "Figure") -> str:
    """The conclusion from the interval over all people, in a sentence."""
    if figure.low is None or figure.high is None or figure.low <= 0.5 <= figure.high:
        return "0.5 lies within the interval: these answers do not show that people can tell real from generated clips"
    if figure.low > 0.5:
        return "people can tell real from generated clips"
    return "people mistake generated clips for real ones"
