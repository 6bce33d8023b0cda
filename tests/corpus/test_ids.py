"""Paths -> ids."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.corpus import LONGEST, LabelRow, as_text, make_id, number_repeats
from pipeline.corpus.video_files import is_usable_id


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("74225.webm", "74225.webm"),
        ("./74225.webm", "74225.webm"),
        ("ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", "ApplyEyeMakeup+v_ApplyEyeMakeup_g01_c01.avi"),
        ("playing guitar/a-b.mp4", "playing guitar+a-b.mp4"),
        ("a+b.mp4", "a%2Bb.mp4"),
        ("100%.mp4", "100%25.mp4"),
        ('it\'s "a & b?".mp4', "it%27s %22a %26 b%3F%22.mp4"),
        ("new\nline.mp4", "new%0Aline.mp4"),
        ("müsli.mp4", "müsli.mp4"),
        (".hidden/a.mp4", "%2Ehidden+a.mp4"),
        ("../a.mp4", "%2E.+a.mp4"),
        ("/etc/passwd", "+etc+passwd"),
        ("bad\udcff.mp4", "bad%ED%B3%BF.mp4"),
        ("", ""),
    ],
)
def test_a_path_becomes_this_id(path, expected):
    assert make_id(path) == expected


paths = st.text(st.characters(exclude_categories=()), min_size=1, max_size=60)


@given(paths | st.text("ab+%~/. \\ü", min_size=1, max_size=20))
def test_an_id_from_a_path_is_usable(path):
    assert is_usable_id(make_id(path))


@given(st.text("ab+%/.~", min_size=1, max_size=6), st.text("ab+%/.~", min_size=1, max_size=6))
def test_different_paths_have_different_ids(one, other):
    def plain(path):  # what the file system takes for one path
        return [part for part in path.split("/") if part not in ("", ".")], path.startswith("/")

    if plain(one) != plain(other):
        assert make_id(one) != make_id(other)


def test_a_long_path_is_cut_and_told_apart_by_its_digest():
    one, other = make_id("ü" * 300 + "1"), make_id("ü" * 300 + "2")
    assert one != other and one[:70] == other[:70] == "ü" * 70
    assert len(one.encode()) <= LONGEST


def test_repeated_ids_are_numbered_in_their_order_and_empty_ones_left():
    row = LabelRow("", "", "all", (), (), "all", ("t.csv", "line 2"), "")
    ids = ["a.mp4", "b.mp4", "a.mp4", "", "a.mp4", ""]
    numbered = number_repeats([row._replace(id=name) for name in ids])
    assert [r.id for r in numbered] == ["a.mp4", "b.mp4", "a.mp4~2", "", "a.mp4~3", ""]
    assert make_id("a.mp4~2") != "a.mp4~2"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (UUID("12345678123456781234567812345678"), "12345678-1234-5678-1234-567812345678"),
        (Decimal("7"), "7"),
        (Decimal("7.00"), "7"),
        (Decimal("7.5"), ""),
        (Decimal("NaN"), ""),
        ("päth".encode(), "päth"),
        (b"\xff", ""),
        (7.0, "7"),
        (float("inf"), ""),
        (True, ""),
    ],
)
def test_cells_of_parquet_become_text(cell, text):
    assert as_text(cell) == text
