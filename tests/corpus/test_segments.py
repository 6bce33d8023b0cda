"""Parts of videos: times in every spelling, frames, lists; groups."""

import math
from datetime import time, timedelta
from decimal import Decimal

import pytest

from pipeline.corpus import WHOLE, Segment, make_segment_id
from pipeline.corpus.segments import (
    BadSegment,
    find_doubtful_columns,
    find_segment_columns,
    list_segments,
    parse_time,
    read_segment,
)
from pipeline.params import SegmentParams

SECONDS = SegmentParams(unit="seconds", rate=None, first=0, last="excluded", around=None)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (12, 12.0),
        (12.25, 12.25),
        ("12.25 ", 12.25),
        ("0902", 902.0),
        ("00:00:00.14", 0.14),
        ("1:30:42", 5442.0),
        ("02:03.5", 123.5),
        ("00:01:02,500", 62.5),
        ("0 days 00:00:05.338666667", 5.338666667),
        ("1 day 00:00:04.5", 86404.5),
        ("1e1", 10.0),
        ("12,25", 12.25),
        ("0,500", 0.5),
        (Decimal("12.25"), 12.25),
        ("12.5s", 12.5),
        ("5 s", 5.0),
        ("1m30s", 90.0),
        ("1h 2 min 3,5 sec", 3723.5),
        ("500 ms", 0.5),
        ("PT5S", 5.0),
        ("PT00H00M17S", 17.0),
        (time(1, 2, 3, 500000), 3723.5),
        (timedelta(minutes=2, milliseconds=250), 120.25),
        ("", None),
        (None, None),
        ("NA", None),
        (math.nan, None),
    ],
)
def test_a_time_is_read_in_every_spelling(written: object, seconds: float | None) -> None:
    assert parse_time(written, SECONDS, end=False) == seconds


@pytest.mark.parametrize("written", ["soon", "1:2:3:4", "12 x", "s", "PT", "--3", [1.0], True])
def test_what_is_no_time_is_refused_by_its_value(written: object) -> None:
    with pytest.raises(BadSegment, match="is not a time"):
        parse_time(written, SECONDS, end=False)


def test_a_comma_that_may_part_thousands_is_refused() -> None:
    with pytest.raises(BadSegment, match=r"'12,250' is 12\.250 or 12250; write it without a comma"):
        parse_time("12,250", SECONDS, end=False)


def test_milliseconds_and_frames_become_seconds() -> None:
    thousandths = SegmentParams(unit="milliseconds", rate=None, first=0, last="excluded", around=None)
    assert read_segment(1500, "2250", thousandths) == (Segment(1.5, 2.25), "")
    # Frames 25 to 49 of a numbering from 1, both inside, are the second second at 24 a second.
    frames = SegmentParams(unit="frames", rate=24.0, first=1, last="included", around=None)
    assert read_segment(25, 48, frames) == (Segment(1.0, 2.0), "")
    # DiDeMo counts pieces of five seconds, both ends inside.
    pieces = SegmentParams(unit="frames", rate=0.2, first=0, last="included", around=None)
    assert read_segment(1, 1, pieces) == (Segment(5.0, 10.0), "")


@pytest.mark.parametrize(
    ("start", "end", "fault"),
    [
        (3, 3, "from 3 to 3 s is empty"),
        (4, 3, "from 4 to 3 s is reversed"),
        (-1, 3, "begins at -1 s, before the video"),
        ("x", 3, "'x' is not a time"),
    ],
)
def test_a_part_without_a_length_says_why(start: object, end: object, fault: str) -> None:
    assert read_segment(start, end, SECONDS) == (WHOLE, fault)


def test_an_open_end_is_the_end_of_the_video() -> None:
    assert read_segment("2", "", SECONDS) == (Segment(2.0, math.inf), "")
    assert read_segment("", "", SECONDS) == (WHOLE, "")


@pytest.mark.parametrize(
    "cell",
    [
        [[0.5, 2], [3, 4]],
        "[[0.5, 2], [3, 4]]",
        "[['0:00:00.500', '0:00:02.000'], ['0:00:03', '0:00:04']]",
        (("0.5", "2"), ("3", "4")),
        [(0.5, 2), (3, 4)],
        "[(0.5, 2), (3, 4)]",
        [{"start": 0.5, "end": 2}, {"start_time": 3, "end_time": "4", "label": "x"}],
        '[{"from": 0.5, "to": 2}, {"begin": 3, "stop": 4}]',
    ],
)
def test_lists_of_pairs_are_read_from_values_and_from_text(cell: object) -> None:
    pairs = [list(pair) for pair in cell] if isinstance(cell, tuple) else cell
    assert list_segments(pairs, SECONDS) == [(Segment(0.5, 2.0), ""), (Segment(3.0, 4.0), "")]


def test_one_pair_and_none_are_read_and_what_is_no_pair_says_so() -> None:
    assert list_segments([1, 2], SECONDS) == [(Segment(1.0, 2.0), "")]
    assert list_segments("", SECONDS) == [(WHOLE, "")]
    assert list_segments({"start": 1, "end": 2}, SECONDS) == [(Segment(1.0, 2.0), "")]
    assert list_segments({"a": 1}, SECONDS) == [(WHOLE, "{'a': 1} is not a pair of start and end")]
    assert list_segments([1, 2, 3], SECONDS) == [(WHOLE, "[1, 2, 3] is not a pair of start and end")]
    assert list_segments("tomorrow", SECONDS) == [(WHOLE, "'tomorrow' is not a list of start and end")]


def test_ids_of_parts_differ_and_sort_by_time() -> None:
    parts = [Segment(9.5, 12.0), Segment(10.0, math.inf), Segment(100.0, 101.0)]
    ids = [make_segment_id("a.mp4", part) for part in parts]
    assert ids == ["a.mp4@00009.500-00012.000", "a.mp4@00010.000-end", "a.mp4@00100.000-00101.000"]
    assert ids == sorted(ids)
    assert make_segment_id("a.mp4", WHOLE) == "a.mp4"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (["id", "start_timestamp", "stop_timestamp"], ["start_timestamp", "stop_timestamp"]),
        (["youtube_id", "time_start", "time_end"], ["time_start", "time_end"]),
        (["path", "caption", "timestamps"], ["timestamps"]),
        (["path", "start_town", "end_town"], []),
        (["path", "start"], []),
    ],
)
def test_columns_that_look_like_parts_are_found(header: list[str], found: list[str]) -> None:
    assert find_segment_columns(header) == found


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (["path", "start", "duration"], ["start", "duration"]),
        (["path", "first_frame", "last_frame"], ["first_frame", "last_frame"]),
        (["path", "in", "out"], ["in", "out"]),
        (["path", "first_frame", "mean_angle"], []),
        (["first name", "last name", "duration", "in town"], []),
    ],
)
def test_names_that_are_seldom_parts_are_doubtful(header: list[str], found: list[str]) -> None:
    assert find_segment_columns(header) == []
    assert find_doubtful_columns(header) == found


@pytest.mark.parametrize(
    ("cell", "start", "end"),
    [
        ("(0.5, 2.5)", 0.5, 2.5),
        ("[0.5 2.5]", 0.5, 2.5),
        ("[ 1.  12.]", 1.0, 12.0),
        ("0.5-2.5", 0.5, 2.5),
        ("0:01 - 0:05", 1.0, 5.0),
        ("0:01\u20130:05", 1.0, 5.0),
        ("1 to 4", 1.0, 4.0),
    ],
)
def test_a_pair_is_read_in_the_notations_of_people_and_numpy(cell: str, start: float, end: float) -> None:
    assert list_segments(cell, SECONDS) == [(Segment(start, end), "")]


def test_several_pairs_are_read_in_the_notations_of_python_and_numpy() -> None:
    expected = [(Segment(0, 1.5), ""), (Segment(2, 3), "")]
    assert list_segments("((0, 1.5), (2, 3))", SECONDS) == expected
    assert list_segments("[[0.  1.5]\n [2.  3. ]]", SECONDS) == expected


def test_the_last_part_of_a_timecode_counts_frames() -> None:
    rated = SECONDS.model_copy(update={"rate": 24.0})
    assert parse_time("00:00:01:12", rated, end=False) == 1.5
    assert parse_time("01:00:00;06", rated, end=True) == 3600.25
    with pytest.raises(BadSegment, match=r"'00:00:01:12' counts frames; set segments\.rate"):
        parse_time("00:00:01:12", SECONDS, end=False)
