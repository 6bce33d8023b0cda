"""Exports of BORIS -> rows."""

import json
from math import inf

import pytest
from exports import read_export, show, write_media

from pipeline.errors import UserError

AGGREGATED = [
    *("Observation id", "Observation date", "Description", "Observation type", "Source", "Time offset (s)"),
    *("Coding duration", "Media duration (s)", "FPS (frame/s)", "Start (h)", "Subject"),
    *("Observation duration by subject by observation", "Behavior", "Behavioral category", "Modifier #1"),
    *("Behavior type", "Start (s)", "Stop (s)", "Duration (s)", "Media file name", "Comment start", "Comment stop"),
]
TABULAR = [
    *("Observation id", "Observation date", "Source", "Time offset (s)", "Media duration (s)", "FPS", "Start (h)"),
    *(
        "Subject",
        "Behavior",
        "Behavioral category",
        "Modifier #1",
        "Behavior type",
        "Time",
        "Media file name",
        "Comment",
    ),
]
SOURCE = r"player #1:C:\rec\a.mp4;C:\rec\b.mp4|player #2:C:\rec\side.mp4"
LENGTHS = "180.040;360.000|180.040"


def line(columns, **cells):
    common = {"Observation id": "obs 1", "Source": SOURCE, "Media duration (s)": LENGTHS, "Time offset (s)": "0"}
    row = {**common, "Start (h)": "8", "Subject": "No focal subject", **cells}
    return [row.get(name, "") for name in columns]


def state(start, stop, behavior="running left", **cells):
    times = {"Start (s)": start, "Stop (s)": stop, "Behavior type": "STATE", "Media file name": r"C:\rec\a.mp4"}
    return line(AGGREGATED, Behavior=behavior, **times, **cells)


def write(folder, lines, name="events.tsv"):
    path = folder / name
    sign = "\t" if name.endswith("tsv") else ","
    path.write_bytes("".join(sign.join(map(str, cells)) + "\r\n" for cells in lines).encode())
    return path


@pytest.fixture(autouse=True)
def videos(tmp_path):
    return write_media(tmp_path, "a.mp4", "b.mp4", "side.mp4")


def seen(path, **columns):
    return show(read_export("boris", path, **columns))


TOLD = [
    ("a.mp4", "running left", "running left", 10500, 12250),
    ("a.mp4", "bark", "bark", "a POINT event at 20.000 s has no length"),
    ("a.mp4", "running left", "running left", 170000, inf),
    ("b.mp4", "running left", "running left", 0, 20000),
    ("b.mp4", "running left", "running left", 119960, 130460),
]


def point(offset=0):
    return line(AGGREGATED, Behavior="bark", **{"Start (s)": f"{20 + offset}.000", "Stop (s)": f"{20 + offset}.000",
        "Behavior type": "POINT", "Duration (s)": "NA",
        "Media file name": r"C:\rec\a.mp4"})  # fmt: skip


@pytest.mark.parametrize("name", ["events.tsv", "events.csv"])
def test_files_are_one_time_line(tmp_path, name):
    rows = [AGGREGATED, state(10.5, 12.25), point(), state(170, 200.04), state("300.000", 310.5)]
    assert seen(write(tmp_path, rows, name)) == TOLD


def test_the_time_offset_of_an_observation_comes_off(tmp_path):
    times = ((110.5, 112.25), (270, 300.04), (400, 410.5), (50, 60), (900, 910))
    rows = [state(*pair, **{"Time offset (s)": 100}) for pair in times]
    assert seen(write(tmp_path, [AGGREGATED, *rows])) == [
        *(told for told in TOLD if told[1] != "bark"),
        ("a.mp4", "running left", "running left", "from -50 to -40 s is not a segment of the files"),
        ("a.mp4", "running left", "running left", "from 800 to 810 s is not a segment of the files"),
    ]


def test_columns_count_by_name_and_may_be_chosen(tmp_path):
    row = state(1, 2, **{"Behavioral category": "Moving", "Modifier #1": "fast", "Comment start": "A dog runs"})
    path = write(tmp_path, [AGGREGATED, row])
    assert seen(path, category="Behavioral category", caption="Comment start") == [
        ("a.mp4", "Moving", "A dog runs", 1000, 2000)
    ]
    with pytest.raises(UserError, match=r"has no column 'Category' \(dataset\.columns\.category\); there are: Ob"):
        seen(path, category="Category")


def event(status, time, behavior="running left", **cells):
    said = {"Behavior type": status, "Time": f"{time:.3f}", "Media file name": r"C:\rec\a.mp4"}
    return line(TABULAR, Behavior=behavior, **said, **cells)


def test_starts_and_stops_are_joined_by_subject_behavior_and_modifiers(tmp_path):
    rows = [
        event("START", 10.5),
        event("START", 11, Subject="cat"),
        event("STOP", 12.25),
        event("POINT", 20, "bark"),
        event("START", 30, **{"Modifier #1": "fast"}),
        event("STOP", 40),
        event("STOP", 41, Subject="cat"),
    ]
    assert seen(write(tmp_path, [TABULAR, *rows])) == [
        TOLD[0],
        ("a.mp4", "running left", "running left", 11000, 41000),
        TOLD[1],
        ("a.mp4", "running left", "running left", "a START without a STOP"),
        ("a.mp4", "running left", "running left", "a STOP without a START"),
    ]


OLD = [
    "Time",
    "Media file path",
    "Total length",
    "FPS",
    "Subject",
    "Behavior",
    "Behavioral category",
    "Comment",
    "Status",
]


def write_old(folder, files, rows, name="old.tsv"):
    pairs = [("Observation id", "obs 1"), (), ("Media file(s)",), *(("Player #1", file) for file in files), (),
        ("Observation date", "2016-11-27 01:57:26"), (), ("Description", ""), ("Time offset (s)", "5.0"), (),
        ("independent variables",), ("variable", "value"), ("a", "12"), ()]  # fmt: skip
    above = [[*pair, *[""] * (len(OLD) - len(pair))] for pair in pairs]
    return write(folder, [*above, OLD, *rows], name)


@pytest.mark.parametrize("name", ["old.tsv", "old.csv"])
def test_older_tabular_events_stand_below_a_preamble(tmp_path, name):
    def row(time, behavior, status, file="rec/a.mp4"):
        return [time, file, "359.960", "25.0", "cat", behavior, "", "", status]

    rows = [row("8.300", "s", "START"), row("12.750", "s", "STOP"), row("00:00:20.5", "p", "POINT")]
    path = write_old(tmp_path, ["rec/a.mp4"], rows, name)
    assert seen(path) == [
        ("a.mp4", "s", "s", 3300, 7750),
        ("a.mp4", "p", "p", "a POINT event at 00:00:20.5 s has no length"),
    ]
    path = write_old(tmp_path, ["rec/a.mp4", "rec/b.mp4"], [
        *rows, row("400.0", "s", "START", "rec/b.mp4"), row("410.0", "s", "STOP", "rec/b.mp4")], name)  # fmt: skip
    assert {row[3] for row in seen(path)[:1] + seen(path)[2:]} == {
        "its time goes on over 2 files, whose lengths the export does not state; give the .boris project itself, "
        "or an export of a newer BORIS"
    }


def test_older_aggregated_events_name_one_file_and_no_lengths(tmp_path):
    columns = [
        "Observation id",
        "Media file",
        "Total length",
        "FPS",
        "Behavior",
        "Behavior type",
        "Start (s)",
        "Stop (s)",
    ]
    row = ["obs 1", "rec/a.mp4", "539.920", "25.0", "s", "STATE", "1.800", "8.125"]
    assert seen(write(tmp_path, [columns, row]))[0] == ("a.mp4", "s", "s", 1800, 8125)
    assert "lengths" in seen(write(tmp_path, [columns, row, [*row[:1], "rec/b.mp4", *row[2:]]]))[0][3]


def project(offset=0):
    times = ((10.5, "running left"), (12.25, "running left"), (20, "bark"), (170, "running left"),
        (200.04, "running left"), (300, "running left"), (310.5, "running left"))  # fmt: skip
    files = {"1": [r"C:\rec\a.mp4", r"C:\rec\b.mp4"], "2": [r"C:\rec\side.mp4"]}
    return {
        "project_name": "x",
        "behaviors_conf": {
            "0": {"code": "running left", "type": "State event"}, "1": {"code": "bark", "type": "Point event"}},
        "observations": {"obs 1": {
            "file": files, "type": "MEDIA", "time offset": offset,
            "media_info": {"length": {files["1"][0]: 180.04, files["1"][1]: 360.0}},
            "events": [[time + offset, "", code, "", "", "NA"] for time, code in times]}},
    }  # fmt: skip


def test_point_events_may_be_parts_of_some_length(tmp_path):
    late = point(280)
    path = write(tmp_path, [AGGREGATED, point(), late])
    assert [(row[0], *row[3:]) for row in seen(path, around=0.5)] == [
        ("a.mp4", 19500, 20500),
        ("b.mp4", 19500 + 99960, 20500 + 99960),
    ]
    tabular = write(tmp_path, [TABULAR, event("POINT", 20, "bark"), event("START", 30)])
    assert [row[3:] for row in seen(tabular, around=0.5)] == [(19500, 20500), ("a START without a STOP",)]


@pytest.mark.parametrize("offset", [0, 100])
def test_a_project_holds_the_events_and_the_lengths_of_the_files(tmp_path, offset):
    path = tmp_path / "x.boris"
    path.write_text(json.dumps(project(offset)))
    assert [row[:3] for row in seen(path)] == [row[:3] for row in TOLD]
    assert [row[3:] for row in seen(path) if row[1] != "bark"] == [row[3:] for row in TOLD if row[1] != "bark"]


def test_a_live_observation_has_no_video(tmp_path):
    row = state(1, 2, Source="NA", **{"Media duration (s)": "NA"})
    row[AGGREGATED.index("Media file name")] = "NA"
    (found,) = read_export("boris", write(tmp_path, [AGGREGATED, row]))
    assert (found.id, found.video) == ("", "")


@pytest.mark.parametrize("name", ["events.tsv", "x.boris"])
def test_exports_are_detected(tmp_path, capsys, name):
    path = write(tmp_path, [AGGREGATED, state(1, 2)], name)
    if name == "x.boris":
        path.write_text(json.dumps(project()))
    assert read_export("auto", path) == read_export("boris", path)
    assert " as boris: " in capsys.readouterr().out


def test_bad_input_is_named(tmp_path):
    path = write(tmp_path, [state(1, 2)])
    with pytest.raises(UserError, match=r"no line of it names the columns Behavior and Start \(s\) or Time"):
        read_export("auto", path)
    (tmp_path / "x.boris").write_text("[]")
    with pytest.raises(UserError, match="not a project of BORIS with observations"):
        seen(tmp_path / "x.boris")
    with pytest.raises(UserError, match="the export of BORIS holds no labels"):
        seen(write(tmp_path, [AGGREGATED]))
