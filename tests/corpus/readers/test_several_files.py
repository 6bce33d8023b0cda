"""Labels in several files of one folder, or in files below it."""

import json

import pytest
from label_files import write_files
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError

DOG, CAT = {"path": "a.mp4", "caption": "a dog"}, {"path": "b.mp4", "caption": "a cat"}


def seen(kind, folder, files):
    write_files(folder, files)
    return [(row.video, row.label, row.official_split) for row in read_rows(folder, reading(kind, folder))]


@pytest.mark.parametrize(
    ("kind", "ending", "write"),
    [("table", "csv", lambda row: "path,caption\n" + ",".join(row.values())), ("table", "jsonl", json.dumps),
     ("json", "json", lambda row: [row])],
)  # fmt: skip
def test_numbered_parts_are_read_as_one(tmp_path, capsys, kind, ending, write):
    files = {f"clips-{number}-of-02.{ending}": write(row) for number, row in (("01", DOG), ("02", CAT))}
    for name in (kind, "auto"):
        assert seen(name, tmp_path, files) == [("a.mp4", "a dog", "all"), ("b.mp4", "a cat", "all")]
    assert f"2 numbered parts, from clips-01-of-02.{ending} on, are read as one" in capsys.readouterr().out


@pytest.mark.parametrize("names", ["clips_v{}.{}", "split{}.{}", "split_0{}.{}"])
def test_versions_and_official_splits_are_no_parts(tmp_path, names):
    for kind, ending, content in (("table", "csv", "path,caption\na.mp4,a dog\n"), ("json", "json", [DOG])):
        with pytest.raises(UserError, match="holds "):
            seen(kind, tmp_path / kind, {names.format(number, ending): content for number in (1, 2)})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("annotations/captions_train.json", [CAT]),
        ("annotations/train.csv", "label,youtube_id,time_start,time_end,split\nyoga,aaaaaaaaaaa,1,11,train\n"),
    ],
)
@pytest.mark.parametrize("folders", ["part{}", "train"])
def test_labels_in_a_folder_beside_videos_are_named_and_no_folder_is_a_caption(tmp_path, name, content, folders):
    videos = {f"{folders.format(number)}/{number}.mp4": "v" for number in (1, 2)}
    with pytest.raises(UserError, match=rf"{name} has captions and videos; make dataset\.labels {tmp_path}/{name}"):
        seen("auto", tmp_path, videos | {name: content})


def test_folders_of_video2dataset_are_read_beside_their_tables_of_downloads(tmp_path, capsys):
    status = {"key": "000000000", "caption": "a dog", "status": "success", "url": "u"}
    files = {"00000.jsonl": json.dumps(status), "00000_stats.json": {"count": 1}, "00000/000000000.mp4": "v"}
    files |= {"00000/000000000.txt": "a dog", "00000/000000000.json": status}
    assert seen("auto", tmp_path, files) == [("00000/000000000.mp4", "a dog", "all")]
    assert "skipped 00000.jsonl, 00000_stats.json: no known columns" in capsys.readouterr().err


def test_many_skipped_files_are_counted(tmp_path, capsys):
    files = {f"{number:05d}_stats.json": {"count": 1} for number in range(20)}
    assert seen("auto", tmp_path, files | {"a.mp4": "v", "a.txt": "a dog"}) == [("a.mp4", "a dog", "all")]
    assert "00007_stats.json and 12 more: no known columns" in capsys.readouterr().err


def test_texts_that_name_no_video_are_no_captions(tmp_path):
    files = {"labels/lists/trainlist01.txt": "x/a.mp4 1\n", "videos/x/a.mp4": "v"}
    write_files(tmp_path, files)
    dataset = reading("auto", tmp_path / "labels").model_copy(update={"videos": str(tmp_path / "videos")})
    with pytest.raises(UserError, match=r"lists/trainlist01\.txt has the name of no video in .*; name a table with"):
        read_rows(tmp_path / "labels", dataset)
    write_files(tmp_path, {"labels/lists/a.txt": "a dog"})
    assert [row.label for row in read_rows(tmp_path / "labels", dataset)] == ["a dog", "x/a.mp4 1"]


@pytest.mark.parametrize("kind", ["table", "auto"])
def test_a_table_per_video_names_it(tmp_path, kind):
    """Tables of parts, as annotators save one for each recording; they are no numbered parts of one table."""
    table = "start,end,label\n0.5,2.5,run\n3,5.5,jump\n"
    write_files(tmp_path, {"labels/cam1.csv": table, "labels/cam2.csv": table, "videos/day/cam2.mp4": "v"})
    named = {"path": "**/{__file__}", "caption": "label", "category": "label", "start": "start", "end": "end"}
    labels = tmp_path / "labels"
    rows = read_rows(labels, reading(kind, labels, **(named if kind == "table" else {})))
    assert [(row.id, row.video, row.label, tuple(row.segment)) for row in rows] == [
        ("cam1@00000.500-00002.500", "**/cam1", "run", (0.5, 2.5)),
        ("cam1@00003.000-00005.500", "**/cam1", "jump", (3.0, 5.5)),
        ("cam2@00000.500-00002.500", "**/cam2", "run", (0.5, 2.5)),
        ("cam2@00003.000-00005.500", "**/cam2", "jump", (3.0, 5.5)),
    ]
    (tmp_path / "videos/day/cam2.mp4").unlink()
    if kind == "auto":
        with pytest.raises(UserError, match="has no column 'path'"):
            read_rows(labels, reading(kind, labels))
