"""`t2v blindtest`: sheets of several people -> shares with intervals; bad sheets are refused by file and line."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest
from typer.testing import CliRunner

from pipeline.cli import blindtest
from pipeline.cli.blindtest import COLUMNS, EVERYONE, measure_people, read_sheets
from pipeline.cli.commands import app
from pipeline.errors import UserError

HEADER = ",".join(COLUMNS)


def write_sheet(path, person, right, pairs=20, test="abc"):
    """A sheet in which the first `right` answers are right."""
    sides = ["left" if pair % 3 else "right" for pair in range(pairs)]
    other = {"left": "right", "right": "left"}
    rows = [
        f"{test},{person},{pair + 1},{side if pair < right else other[side]},{side}" for pair, side in enumerate(sides)
    ]
    path.write_text("\r\n".join([HEADER, *rows]) + "\r\n", encoding="utf-8")
    return path


def test_shares_are_those_of_each_person_and_of_all(tmp_path):
    sheets = [write_sheet(tmp_path / f"{name}.csv", name, right) for name, right in (("ann", 15), ("bob", 10))]
    figures = measure_people(read_sheets(sheets))
    assert [(name, figure.value, figure.clips) for name, figure in figures.items()] == [
        ("ann", 0.75, 20),
        ("bob", 0.5, 20),
        (EVERYONE, 0.625, 40),
    ]
    exact = binomtest(15, 20).proportion_ci(method="exact")
    assert (figures["ann"].low, figures["ann"].high) == pytest.approx((exact.low, exact.high))
    assert figures[EVERYONE].low < 0.625 < figures[EVERYONE].high


def test_the_interval_of_all_holds_what_more_people_of_the_kind_would_get(tmp_path, monkeypatch):
    """Of 40 draws of 8 people, whose own shares differ, about 95 % hold the truth."""
    monkeypatch.setattr(blindtest, "RESAMPLES", 200)
    rng = np.random.default_rng(1)
    held = 0
    for draw in range(40):
        sheets = []
        for person in range(8):
            share = np.clip(rng.normal(0.6, 0.1), 0, 1)
            sheets.append(write_sheet(tmp_path / f"{draw}-{person}.csv", f"p{person}", rng.binomial(20, share)))
        figure = measure_people(read_sheets(sheets))[EVERYONE]
        held += figure.low <= 0.6 <= figure.high
    assert held >= 34


def test_one_who_is_always_right_has_no_certain_share(tmp_path):
    figures = measure_people(read_sheets([write_sheet(tmp_path / "a.csv", "ann", 20)]))
    assert figures["ann"].value == figures["ann"].high == 1
    assert 0.75 < figures["ann"].low < 0.95


def run(*arguments):
    return CliRunner().invoke(app, ["blindtest", *map(str, arguments)])


@pytest.mark.parametrize(("pairs", "told"), [(1, "do not show"), (5, "do not show"), (6, "people can tell")])
def test_few_right_answers_are_no_knowledge(tmp_path, monkeypatch, pairs, told):
    """Who guesses is right five times of five in 3 % of all tests, or wrong: 6 % for an interval of 95 %."""
    monkeypatch.chdir(tmp_path)
    assert told in run(write_sheet(tmp_path / "a.csv", "ann", pairs, pairs)).output
    wrong = run(write_sheet(tmp_path / "b.csv", "ann", 0, pairs)).output
    assert ("people mistake generated clips for real ones" in wrong) == (pairs > 5)


def test_the_interval_of_equal_answers_is_that_of_another_implementation(tmp_path):
    for right in (0, 20):
        figure = measure_people(read_sheets([write_sheet(tmp_path / "a.csv", "ann", right)]))["ann"]
        exact = binomtest(right, 20).proportion_ci(method="exact")
        assert (figure.low, figure.high) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize("name", ["absent", "a.csv", "."])
def test_an_evaluation_that_is_named_must_be_there(tmp_path, name):
    found = run(write_sheet(tmp_path / "a.csv", "ann", 11), "--evaluation", tmp_path / name)
    assert found.exit_code == 1
    assert "no such file; --evaluation names the folder of a run's evaluation" in str(found.exception)


def test_the_table_says_what_the_interval_means(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    guessed = run(write_sheet(tmp_path / "a.csv", "[red]ann", 11))
    assert "[red]ann" in guessed.output
    assert "do not show" in guessed.output
    known = run(write_sheet(tmp_path / "b.csv", "bob", 19))
    assert "people can tell real from generated clips" in known.output


def test_figures_are_printed_for_machines_with_those_of_the_judges_beside(tmp_path):
    figure = {"value": 0.76, "low": 0.7, "high": 0.8, "clips": 240, "reason": ""}
    (tmp_path / "intervals.json").write_text(json.dumps({"two_sample_frames": figure}), encoding="utf-8")
    printed = run(write_sheet(tmp_path / "a.csv", "ann", 12), "--evaluation", tmp_path, "--json")
    figures = json.loads(printed.output)
    assert figures["ann"]["value"] == 0.6
    assert figures["two_sample_frames"]["value"] == 0.76


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: must name the columns"),
        ("a,b\n", "line 1: must name the columns"),
        (HEADER, "no answers"),
        (f"{HEADER}\nabc,ann,1,left\n", "line 2: 4 cells, not 5"),
        (f"{HEADER}\nabc,ann,1,left,left\nabc,ann,2,up,left\n", "line 3: answer is 'up', not left or right"),
        (f"{HEADER}\nabc,ann,1,left,\n", "line 2: real is '', not left or right"),
        (f"{HEADER}\nabc,ann,0,left,left\n", "line 2: pair is '0', not a number from 1"),
        (f"{HEADER}\nabc,ann,one,left,left\n", "line 2: pair is 'one'"),
        (f"{HEADER}\nabc,,1,left,left\n", "line 2: has no person"),
        (f"{HEADER}\n,ann,1,left,left\n", "line 2: has no test"),
        (f"{HEADER}\nabc,all people,1,left,left\n", "line 2: 'all people' is reserved for the total"),
        (f"{HEADER}\nabc,ann,1,left,left\nabc,ann,1,right,left\n", "line 3: ann has answered pair 1 already"),
        (f"{HEADER}\nabc,ann,1,left,left\nabc,bob,1,right,right\n", "line 3: says that the real clip of pair 1"),
        (f"{HEADER}\nabc,ann,1,left,left\nxyz,ann,2,right,right\n", "line 3: of test xyz"),
        (f'{HEADER}\n"abc,ann\n', "not a CSV table"),
        ("\xff\xfe\x00", "not UTF-8"),
        (f"{HEADER}\nabc,Ren\xe9,1,left,left\n", "save it as CSV UTF-8"),
    ],
)
def test_a_bad_sheet_is_refused_by_file_and_line(tmp_path, text, told):
    path = tmp_path / "sheet.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as error:
        read_sheets([path])
    assert told in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_sheet_that_a_spreadsheet_saved_again_is_read(tmp_path, separator):
    sheet = write_sheet(tmp_path / "a.csv", "René", 15)
    lines = [*sheet.read_text(encoding="utf-8").splitlines(), ",,,,"]
    sheet.write_text("\r\n".join(lines).replace(",", separator), encoding="utf-8-sig")
    assert {name: figure.value for name, figure in measure_people(read_sheets([sheet])).items()} == {
        "René": 0.75,
        EVERYONE: 0.75,
    }


def test_an_absent_sheet_is_told(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.csv: no such file"):
        read_sheets([tmp_path / "nothing.csv"])
