"""What becomes of exports: their files, splits, and the reasons for which rows are dropped."""

import json

import pytest
from exports import read_export, write_media
from settings import filtering, reading

from pipeline.corpus.choose import choose_clips
from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError

EVENTS = ("Observation id", "Behavior", "Behavior type", "Start (s)", "Stop (s)", "Media file name")


def write(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join("\t".join(map(str, row)) for row in [EVENTS, *rows]))
    return path


def test_each_row_becomes_a_clip_or_is_dropped_with_a_reason(tmp_path):
    videos = write_media(tmp_path, "day 1/one.mp4", "day 1/two.mp4", "day 2/two.mp4")
    path = write(
        tmp_path / "events.tsv",
        *(("a", "RunFast", "STATE", start, start + 2, "C:/rec/one.mp4") for start in (0, 1, 1)),
        ("a", "RunFast", "POINT", 5, 5, "C:/rec/one.mp4"),
        ("a", "RunFast", "STATE", 7, 6, "C:/rec/one.mp4"),
        ("a", "", "STATE", 8, 9, "C:/rec/one.mp4"),
        ("b", "RunFast", "STATE", 0, 1, "C:/rec/two.mp4"),
        ("c", "RunFast", "STATE", 0, 1, "C:/rec/onf.mp4"),
        ("d", "RunFast", "STATE", 0, 1, "NA"),
    )
    shares = {"train": 1.0, "judge": 0.0, "val": 0.0, "test": 0.0}
    rows = read_export("boris", path)
    choice = choose_clips(rows, videos, filtering(categories=["*"], shares=shares), 1)
    assert [(clip.id, clip.video, clip.start, clip.end, clip.caption, clip.category) for clip in choice.clips] == [
        ("day 1+one.mp4@00000.000-00002.000", "day 1/one.mp4", 0, 2, "run fast", "runfast"),
        ("day 1+one.mp4@00001.000-00003.000", "day 1/one.mp4", 1, 3, "run fast", "runfast"),
        ("day 1+one.mp4@00001.000-00003.000~2", "day 1/one.mp4", 1, 3, "run fast", "runfast"),
    ]
    assert len(choice.clips) + len(choice.drops) == len(rows)
    assert sorted((drop.reason, drop.detail) for drop in choice.drops) == [
        ("missing_video", "day 1/two.mp4 and day 2/two.mp4 are both called two.mp4"),
        ("missing_video", "no onf.mp4 in any folder; the nearest is day 1/one.mp4"),
        ("unusable_id", "entry 9 of events.tsv"),
        ("unusable_label", "no caption and no category: entry 6 of events.tsv"),
        ("unusable_segment", "a POINT event at 5 s has no length: entry 4 of events.tsv"),
        ("unusable_segment", "from 7 to 6 s is reversed: entry 5 of events.tsv"),
    ]


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train.tsv", "val.tsv"), ["train", "validation"]),
        (("test/a.tsv", "train/b.tsv"), ["test", "train"]),
        (("test.tsv",), ["all"]),
        (("session.tsv", "test.tsv"), ["all", "all"]),
    ],
)
def test_files_and_folders_that_are_all_named_as_splits_are_splits(tmp_path, names, splits):
    write_media(tmp_path, "one.mp4")
    for name in names:
        write(tmp_path / "labels" / name, ("a", "run", "STATE", 0, 1, "one.mp4"))
    write(tmp_path / "labels" / ".hidden.tsv")
    write(tmp_path / "labels" / "~$open.tsv")
    rows = read_export("boris", tmp_path / "labels")
    assert [row.official_split for row in rows] == splits


def test_absent_and_empty_labels_are_named(tmp_path):
    with pytest.raises(UserError, match=r"gone: no such export of BORIS; see dataset\.labels"):
        read_export("boris", tmp_path / "gone")
    with pytest.raises(UserError, match=r"neither it nor a folder in it holds a file of BORIS, \.tsv, \.csv, \.boris"):
        read_export("boris", tmp_path)


def test_groups_and_splits_may_be_columns_and_other_columns_are_refused(tmp_path):
    write_media(tmp_path, "one.mp4")
    path = write(tmp_path / "events.tsv", ("a", "run", "STATE", 0, 1, "one.mp4"))
    path.write_text(path.read_text().replace("Observation id", "Fold").replace("\na\t", "\nvalidate\t"))
    (row,) = read_export("boris", path, split="Fold", group="Media file name")
    assert (row.official_split, row.group) == ("validation", "one.mp4")
    with pytest.raises(UserError, match=r"entry 1 has the split 'run' \(dataset\.columns\.split\); known are train"):
        read_export("boris", path, split="Behavior")
    with pytest.raises(UserError, match=r"has no column 'Subject' \(dataset\.columns\.group\)"):
        read_export("boris", path, group="Subject")
    with pytest.raises(UserError, match=r"columns\.start is 'Start \(s\)', which exports of BORIS do not have"):
        read_export("boris", path, start="Start (s)")
    with pytest.raises(UserError, match=r"columns\.path is 'video', which exports of ELAN do not have; set it to path"):
        read_export("elan", path, path="video")


@pytest.mark.parametrize(
    ("tool", "name", "content"),
    [
        ("V7 Darwin", "a.json", {"version": "2.0", "schema_ref": "x", "item": {"name": "a.mp4"}, "annotations": []}),
        ("Encord", "export.json", [{"label_hash": "x", "data_title": "a.mp4", "data_units": {}}]),
        ("Supervisely", "a.mp4.json", {"tags": [], "objects": [], "frames": [], "framesCount": 50}),
        ("Supervisely", "key_id_map.json", {"tags": {}, "objects": {}, "figures": {}, "videos": {}}),
        ("SuperAnnotate", "a.mp4.json", {"metadata": {"name": "a.mp4"}, "instances": [], "tags": []}),
        ("Dataloop", "a.json", {"filename": "/a.mp4", "annotations": [], "annotationsCount": 0}),
        ("Kili", "a.json", [{"content": "https://host/a.mp4", "externalId": "a.mp4", "labels": []}]),
        ("Scale", "tasks.json", [{"task_id": "x", "params": {"attachment": "a.mp4"}, "response": {}}]),
        ("VoTT", "a-export.json", {"name": "a", "videoSettings": {}, "tags": [], "assets": {}}),
        ("Labelbox", "export.ndjson", {"data_row": {"external_id": "a.mp4"}, "projects": {}}),
    ],
)
def test_exports_of_other_tools_are_refused_by_name(tmp_path, tool, name, content):
    (tmp_path / name).write_text(json.dumps(content))
    for labels in (tmp_path / name, *([tmp_path] if name.endswith(".json") else [])):
        with pytest.raises(UserError, match=rf"{name}: is an export of {tool}, which is not read; write a table with"):
            read_rows(labels, reading("auto", labels))
