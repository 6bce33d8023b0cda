"""Exports of Label Studio -> rows."""

import csv
import json
from math import inf

import pytest
from exports import read_export, show, write_media

from pipeline.errors import UserError


def result(region, control, kind, **value):
    return {"id": region, "from_name": control, "to_name": "video", "type": kind, "value": value}


def task(number, video, *results, **more):
    annotation = {"id": 9, "was_cancelled": False, "completed_by": 1, "result": list(results)}
    data = {"video": video, **more}
    return {"id": number, "data": data, "annotations": [annotation], "predictions": [{"result": []}]}


def write(folder, content, name="project-1.json"):
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def timeline(region, label, start, end):
    return result(region, "tricks", "timelinelabels", ranges=[{"start": start, "end": end}], timelinelabels=label)


def seen(folder, content, **options):
    return show(read_export("label_studio", write(folder, content), **options))


@pytest.fixture(autouse=True)
def videos(tmp_path):
    return write_media(tmp_path, "my clip (1).mp4", "day/b.mp4", "c.mp4")


def test_frames_from_1_end_with_the_last_one_and_count_at_the_rate_of_the_configuration(tmp_path, capsys):
    tasks = [
        task(
            1,
            "/data/upload/4/3b780495-my_clip_1.mp4",
            timeline("a", ["RunFast"], 1, 24),
            timeline("b", ["Jump up"], 13, 48),
            timeline("c", ["Jump up"], 7, 7),
            timeline("d", [], 1, 24),
            timeline("e", ["Jump up"], 9, 3),
            timeline("f", ["Jump up"], None, 3),
        )
    ]
    video = "my clip (1).mp4"
    faults = ["frame 7 alone is a still picture", "from 0.333333 to 0.125 s is reversed", "has no start or no end"]
    assert seen(tmp_path, tasks) == [
        (video, "RunFast", "run fast", 0, 1000),
        (video, "Jump up", "jump up", 500, 2000),
        (video, "Jump up", "jump up", faults[0]),
        (video, "", "", 0, 1000),
        (video, "Jump up", "jump up", faults[1]),
        (video, "Jump up", "jump up", faults[2]),
    ]
    assert "24 a second, its default, is taken: set dataset.segments.rate" in capsys.readouterr().err
    assert [row[3:] for row in seen(tmp_path, tasks, rate=12.0)][:2] == [(0, 2000), (1000, 4000)]
    assert capsys.readouterr().err == ""


def test_the_ids_of_rows_differ_and_say_the_part(tmp_path):
    tasks = [task(1, "c.mp4", timeline("a", ["Run", "Fast"], 1, 24), timeline("b", ["Run"], 25, 48))]
    assert [row.id for row in read_export("label_studio", write(tmp_path, tasks))] == [
        "c.mp4@00000.000-00001.000",
        "c.mp4@00000.000-00001.000~2",
        "c.mp4@00001.000-00002.000",
    ]


def test_a_text_of_a_region_is_its_caption(tmp_path):
    whole = result("z", "kind", "choices", choices=["Outdoor"])
    tasks = [
        task(
            1,
            "c.mp4",
            timeline("a", ["Run"], 1, 24),
            result("a", "say", "textarea", ranges=[{"start": 1, "end": 24}], text=["A dog runs", "It is fast"]),
            timeline("b", ["Jump"], 25, 48),
            whole,
        )
    ]
    assert seen(tmp_path, tasks) == [
        ("c.mp4", "Run", "A dog runs", 0, 1000),
        ("c.mp4", "Run", "It is fast", 0, 1000),
        ("c.mp4", "Jump", "jump", 1000, 2000),
    ]
    assert seen(tmp_path, tasks, caption="say", category="tricks") == [
        ("c.mp4", "Run", "A dog runs", 0, 1000),
        ("c.mp4", "Run", "It is fast", 0, 1000),
        ("c.mp4", "Jump", "", 1000, 2000),
    ]
    assert seen(tmp_path, tasks, category="kind")[-1] == ("c.mp4", "Outdoor", "outdoor", 0, inf)


def test_what_is_said_about_whole_videos_is_left_out_aloud_where_parts_are_labelled(tmp_path, capsys):
    kind, note = result("k", "kind", "choices", choices=["Outdoor"]), result("n", "note", "textarea", text=["A dog"])
    assert seen(tmp_path, [task(1, "c.mp4", kind, note), task(2, "day/b.mp4", kind)]) == [
        ("c.mp4", "Outdoor", "A dog", 0, inf),
        ("day/b.mp4", "Outdoor", "outdoor", 0, inf),
    ]
    assert seen(tmp_path, [task(1, "c.mp4", note)]) == [("c.mp4", "all", "A dog", 0, inf)]
    assert capsys.readouterr().err == ""
    assert seen(tmp_path, [task(1, "c.mp4", kind, timeline("a", ["Run"], 1, 24)), task(2, "day/b.mp4", kind)]) == [
        ("c.mp4", "Run", "run", 0, 1000),
        ("day/b.mp4", "", "", 0, inf),
    ]
    assert "2 choices or texts about whole videos are left out" in capsys.readouterr().err


def box(frame, enabled, rate):
    return {"frame": frame, "enabled": enabled, "time": frame / rate, "x": 1, "y": 1, "width": 5, "height": 5}


def test_boxes_tell_the_rate_and_last_to_the_key_frame_that_ends_them(tmp_path, capsys):
    keys = [box(11, True, 10), box(15, True, 10), box(20, False, 10), box(31, True, 10)]
    boxes = result("a", "box", "videorectangle", framesCount=99, duration=9.9, sequence=keys, labels=["Dog"])
    tasks = [task(1, "c.mp4", boxes), task(2, "day/b.mp4", timeline("b", ["Run"], 1, 10))]
    expected = [
        ("c.mp4", "Dog", "dog", 1000, 2000),
        ("c.mp4", "Dog", "dog", 3000, inf),
        ("day/b.mp4", "Run", "run", 0, 1000),
    ]
    assert seen(tmp_path, tasks) == expected
    assert seen(tmp_path, tasks, rate=10.0) == expected
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match=r"rate is 25, but its boxes have 10 frames in a second; set it to 10"):
        seen(tmp_path, tasks, rate=25.0)


def test_a_task_may_hold_the_rate_that_its_configuration_refers_to(tmp_path, capsys):
    assert seen(tmp_path, [task(1, "c.mp4", timeline("a", ["Run"], 1, 30), fps="30")])[0][3:] == (0, 1000)
    assert capsys.readouterr().err == ""


def test_regions_of_sound_are_in_seconds_and_those_of_text_are_no_part(tmp_path):
    sound = result("a", "sounds", "labels", start=0.25, end=1.5, channel=0, labels=["Bark"])
    text = result("b", "words", "labels", start=3, end=9, text="barks", labels=["Verb"])
    assert seen(tmp_path, [task(1, "c.mp4", sound, text)]) == [
        ("c.mp4", "Bark", "bark", 250, 1500),
        ("c.mp4", "Verb", "barks", "is about letters of a text"),
    ]


def test_tasks_without_labels_are_rows_to_be_dropped(tmp_path):
    skipped = task(2, "day/b.mp4", timeline("a", ["Run"], 1, 24))
    skipped["annotations"][0]["was_cancelled"] = True
    old = {"id": 3, "data": {"video": "c.mp4"}, "completions": [{"result": [timeline("a", ["Run"], 1, 24)]}]}
    assert seen(tmp_path, [{**task(1, "c.mp4"), "annotations": []}, skipped, old]) == [
        ("c.mp4", "", "", 0, inf),
        ("day/b.mp4", "", "", 0, inf),
        ("c.mp4", "Run", "run", 0, 1000),
    ]


COLUMNS = ["annotation_id", "annotator", "created_at", "id", "lead_time", "say", "tricks", "updated_at", "video"]


def cells(say, tricks, video="/data/upload/4/3b780495-c.mp4", number=9):
    return dict(zip(COLUMNS, (number, 1, "2026", 1, 3.5, say, tricks, "2026", video), strict=True))


def ranges(*pairs):
    return [{"ranges": [{"start": start, "end": end}], "timelinelabels": ["Run"]} for start, end in pairs]


def write_table(path, rows):
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, quoting=csv.QUOTE_NONNUMERIC)
        table.writeheader()
        table.writerows({key: json.dumps(cell) if isinstance(cell, list) else cell for key, cell in row.items()}
            for row in rows)  # fmt: skip
    return path


def test_csv_and_json_min_hold_results_in_cells(tmp_path):
    rows = [cells("A dog runs", ranges((1, 24))), cells("", "", "day/b.mp4", "")]
    told = [("c.mp4", "Run", "run", 0, 1000), ("day/b.mp4", "", "", 0, inf)]
    said = [("c.mp4", "Run", "A dog runs", 0, 1000), ("day/b.mp4", "", "", 0, inf)]
    paths = [write_table(tmp_path / "project.csv", rows), write(tmp_path, [{**row, "tricks": row["tricks"] or []}
        for row in rows])]  # fmt: skip
    for path in paths:
        assert show(read_export("label_studio", path)) == told
        assert show(read_export("label_studio", path, caption="say")) == said


def test_a_text_in_a_cell_that_may_be_about_several_parts_is_dropped(tmp_path):
    path = write_table(tmp_path / "project.csv", [cells("A dog runs", ranges((1, 24), (25, 48)))])
    rows = show(read_export("label_studio", path, caption="say"))
    assert [row[2:] for row in rows] == [
        ("", 0, 1000),
        ("", 1000, 2000),
        ("A dog runs", "the export does not say which part of the video the text is about; export as JSON"),
    ]


def test_the_video_of_a_task_is_the_only_one_or_named(tmp_path):
    run = timeline("a", ["Run"], 1, 24)
    html = task(1, "<video src='https://host/x/c.mp4?sig=1' muted>", run)
    assert seen(tmp_path, [html])[0][0] == "c.mp4"
    two = {**task(1, "c.mp4", run), "data": {"one": "c.mp4", "other": "day/b.mp4"}}
    with pytest.raises(UserError, match=r"may have its video in one, other; name it in dataset\.columns\.path"):
        seen(tmp_path, [two])
    assert seen(tmp_path, [two], path="other")[0][0] == "day/b.mp4"
    with pytest.raises(UserError, match=r"has no task data in task 0 'gone' \(dataset\.columns\.path\); there are: o"):
        seen(tmp_path, [two], path="gone")


def test_bad_input_is_named(tmp_path):
    run = timeline("a", ["Run"], 1, 24)
    with pytest.raises(UserError, match=r"has no control 'trick' \(dataset\.columns\.category\); there are: tricks"):
        seen(tmp_path, [task(1, "c.mp4", run)], category="trick")
    with pytest.raises(UserError, match="item 1 is not a task with data and annotations, but 7"):
        seen(tmp_path, [task(1, "c.mp4", run), 7])
    with pytest.raises(UserError, match="no column holds parts of videos; name the one with the classes"):
        read_export("label_studio", write_table(tmp_path / "x.csv", [cells("A dog", "")]))
    (tmp_path / "y.csv").write_text("path,caption\na,b\n")
    with pytest.raises(UserError, match="no CSV of Label Studio, whose columns are path, caption"):
        read_export("label_studio", tmp_path / "y.csv")
    (tmp_path / "z.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"z\.json: not JSON"):
        read_export("label_studio", tmp_path / "z.json")
    with pytest.raises(UserError, match="no such export of Label Studio"):
        read_export("label_studio", tmp_path / "gone.json")


def test_one_frame_may_be_a_part_of_some_length(tmp_path):
    tasks = [task(1, "c.mp4", timeline("a", ["Run"], 25, 25))]
    assert seen(tmp_path, tasks, around=0.5) == [("c.mp4", "Run", "run", 500, 1500)]


def test_groups_and_splits_are_data_of_tasks(tmp_path):
    run = timeline("a", ["Run"], 1, 24)
    path = write(tmp_path, [task(1, "c.mp4", run, who="Ann", fold="dev"), task(2, "c.mp4", run, who="Bob", fold="")])
    rows = read_export("label_studio", path, group="who", split="fold")
    assert [(row.group, row.official_split) for row in rows] == [("Ann", "validation"), ("Bob", "all")]
    with pytest.raises(UserError, match=r"has no task data in task 0 'whom' \(dataset\.columns\.group\)"):
        read_export("label_studio", path, group="whom")
