"""Files of something else next to labels: they are skipped by `auto`, and named."""

import json

import pytest
from label_files import write_files
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError

TABLES = {"train.csv": "path,caption\na.mp4,a dog\n", "val.csv": "path,caption\nb.mp4,a cat\n"}
CLASSES = {"jumping/a.mp4": "v", "running/b.mp4": "v"}
ROWS = [{"path": "a.mp4", "caption": "a dog"}]
INFOS = {"default": {"description": "a set", "features": {"path": {"dtype": "string"}}, "splits": {"train": {}}}}


def seen(folder, files, **columns):
    write_files(folder, files)
    rows = read_rows(folder, reading("auto", folder, **columns))
    return [(row.video, row.label) for row in rows if row.label]  # others are dropped with a reason


@pytest.mark.parametrize(
    "other",
    [
        {"classes.json": {"0": "a dog", "1": "a cat"}},
        {"classes.json": ["a dog", "a cat"]},
        {"dataset_infos.json": INFOS},
        {"package.json": {"name": "x", "description": "y", "scripts": {"run": "z"}}},
        {"settings.json": {"path": "data", "caption": "short"}},
        {"tsconfig.json": "{// the compiler\n}"},
        {"settings.jsonl": "{'a': 1}\n"},
        {"statistics.jsonl": '{"clips": 2}\n'},
        {"statistics.csv": "clips,seconds\n2,9\n"},
        {"~$labels.xlsx": "owner"},
        {"overview.xlsx": "\xd0\xcf a password"},
    ],
)
def test_tables_are_read_whatever_lies_beside_them(tmp_path, other):
    assert seen(tmp_path, TABLES | other) == [("a.mp4", "a dog"), ("b.mp4", "a cat")]


@pytest.mark.parametrize(
    "other",
    [
        {"config.json": {"model": "x"}},
        {"info.json": {"description": "my clips", "license": "none"}},
        {"meta.json": {"count": 2}},
        {"tsconfig.json": "{// the compiler\n}"},
        {"statistics.csv": "clips,seconds\n2,9\n"},
        {"classes.csv": "id,label\n0,jumping\n1,running\n"},
        {"overview.xlsx": "\xd0\xcf a password"},
    ],
)
@pytest.mark.parametrize(
    ("files", "rows"),
    [
        (CLASSES, [("jumping/a.mp4", "jumping"), ("running/b.mp4", "running")]),
        ({"clips/a.mp4": "v", "clips/a.txt": "a dog"}, [("clips/a.mp4", "a dog")]),
    ],
)
def test_what_is_beside_videos_is_read_whatever_lies_above_them(tmp_path, capsys, files, rows, other):
    assert seen(tmp_path, files | other) == rows
    (name,) = other
    assert f"skipped {name}: no known columns of captions and videos" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["labels.json", "labels.csv"])
def test_labels_above_videos_are_read(tmp_path, name):
    files = {"labels.json": ROWS, "labels.csv": "path,caption\na.mp4,a dog\n"}
    assert seen(tmp_path, CLASSES | {name: files[name], "meta.json": {"count": 2}}) == [("a.mp4", "a dog")]


def test_json_without_captions_is_skipped_beside_labels(tmp_path, capsys):
    assert seen(tmp_path, {"labels.json": ROWS, "info.json": {"license": "none"}}) == [("a.mp4", "a dog")]
    assert "info.json has no rows with 'caption' and is skipped" in capsys.readouterr().err


def test_unknown_columns_are_named_if_nothing_else_is_there(tmp_path):
    write_files(tmp_path, {"labels.json": [{"mp4": "a", "zh": "x"}], "clips/a.mp4": "v"})
    with pytest.raises(UserError, match="has no column 'path'"):
        read_rows(tmp_path, reading("auto", tmp_path))
    columns = {"path": "mp4", "caption": "zh"}
    assert [row.label for row in read_rows(tmp_path, reading("auto", tmp_path, **columns))] == ["x"]


def test_a_text_beside_a_video_is_no_list_even_if_both_are_named_as_a_split(tmp_path):
    assert seen(tmp_path, {"train.mp4": "v", "train.txt": "a red train"}) == [("train.mp4", "a red train")]


@pytest.mark.parametrize("name", ["odd.json", "odd.jsonl"])
def test_a_known_dataset_is_read_although_a_file_beside_it_is_broken(tmp_path, capsys, name):
    rows = {"val.json": [{"videoID": "a_000001_000011", "enCap": ["a dog"], "chCap": ["x"]}]}
    assert [label for _, label in seen(tmp_path, rows | {name: "{'a': 1}\n"})] == ["a dog"]
    assert f"filter: skipped: {tmp_path / name}: " in capsys.readouterr().err


def test_a_broken_file_of_a_known_dataset_is_named(tmp_path):
    write_files(tmp_path, {"val.json": "[{"})
    with pytest.raises(UserError, match="not JSON"):
        read_rows(tmp_path, reading("vatex", tmp_path))


def test_sharegpt4video_without_paths_is_read_by_its_ids(tmp_path):
    said = [{"idx": "-1", "content": "all of it"}]
    row = {"video_id": "a", "timestamp": [0, 2], "keyframe": [0, 60], "captions": said}
    assert seen(tmp_path, {"sharegpt4video.json": json.dumps([row])}) == [("**/a", "all of it")]
