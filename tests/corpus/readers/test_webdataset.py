"""Shards of tar files, as of WebDataset and video2dataset."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import write_tar, write_zip
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.corpus.video_files import find_videos
from pipeline.errors import UserError
from pipeline.records import Drop


def read(labels, kind="webdataset", videos=None, classes=None, **columns):
    dataset = reading(kind, labels, **columns)
    return read_rows(labels, dataset.model_copy(update={"videos": str(videos or labels), "classes": classes}))


def seen(rows):
    return [(row.id, row.video, row.label, row.official_split) for row in rows]


def sample(key, text=None, /, **cells):
    """The files of one sample as video2dataset writes them."""
    files = {f"{key}.mp4": b"video"}
    files |= {f"{key}.txt": text.encode()} if text is not None else {}
    return files | ({f"{key}.json": json.dumps({"key": key, "status": "success", **cells}).encode()} if cells else {})


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_texts_in_the_encodings_of_text_files(tmp_path, capsys, encoding):
    write_tar(tmp_path / "x.tar", {"a.mp4": b"v", "a.txt": "un café à gauche".encode(encoding)})
    (row,) = read(tmp_path)
    assert row.label == "un café à gauche"
    assert ("read as Windows-1252" in capsys.readouterr().err) == (encoding == "cp1252")


def test_the_videos_of_one_sample_stay_together(tmp_path):
    write_tar(tmp_path / "x.tar", {"a.left.mp4": b"l", "a.right.mp4": b"r", "a.txt": b"A dog", **sample("b", "A cat")})
    assert [row.group for row in read(tmp_path)] == ["x.tar/a", "x.tar/a", ""]
    write_tar(tmp_path / "x.tar", {"a.left.mp4": b"l", "a.right.mp4": b"r", "a.json": b'{"caption": "x", "take": 3}'})
    assert [row.group for row in read(tmp_path, group="take")] == ["3", "3"]


@pytest.fixture
def shards(tmp_path):
    """Two shards of video2dataset with their tables and statistics; two downloads have failed."""
    one = {**sample("000000000", "A dog runs . \n", caption="A dog runs .", clip="x"), **sample("000000002", "a cup")}
    write_tar(tmp_path / "00000.tar", one)
    write_tar(tmp_path / "00001.tar", {**sample("000010000_00001", caption="said in JSON"), "000010001.txt": b"alone"})
    (tmp_path / "00000_stats.json").write_text("{}")
    table = {
        "key": ["000000000", "000000001", "000000002"],
        "status": ["success", "failed_to_download", "success"],
        "caption": ["A dog runs .", "a failed one", "a cup"],
    }
    pq.write_table(pa.table(table), tmp_path / "00000.parquet")
    return tmp_path


def test_samples_of_all_shards_are_rows_and_failed_ones_are_dropped(shards):
    rows = read(shards)
    assert seen(rows) == [
        ("00000.tar+000000000.mp4", "00000.tar/000000000.mp4", "A dog runs .", "all"),
        ("00000.tar+000000002.mp4", "00000.tar/000000002.mp4", "a cup", "all"),
        ("00000.tar+000000001.mp4", "00000.tar/000000001.mp4", "a failed one", "all"),
        ("00001.tar+000010000_00001.mp4", "00001.tar/000010000_00001.mp4", "said in JSON", "all"),
        ("00001.tar+000010001", "00001.tar/000010001", "alone", "all"),
    ]
    found = find_videos(shards, [(row.id, row.video) for row in rows], 1)
    assert [file if isinstance(file, str) else file.reason for file in found] == [
        *("00000.tar/000000000.mp4", "00000.tar/000000002.mp4", "missing_video"),
        *("00001.tar/000010000_00001.mp4", "missing_video"),
    ]


def test_auto_knows_them_by_a_sample(shards, capsys):
    assert seen(read(shards, "auto")) == seen(read(shards))
    assert "as webdataset: 00000.tar holds videos with texts, JSON or classes" in capsys.readouterr().out
    path = shards / "00001.tar"
    assert seen(read(path, "auto", videos=shards)) == seen(read(path, videos=shards))


def test_columns_are_the_keys_of_the_json(tmp_path):
    cells = {"text": ["one", "two"], "meta": {"action": "jumping"}, "subset": "val"}
    write_tar(tmp_path / "x.tar", sample("a", None, **cells))
    rows = read(tmp_path, caption="text", category="meta.action", split="subset", id="__key__")
    assert [(row.id, row.label, row.template, row.official_split) for row in rows] == [
        ("a", "one", "jumping", "validation"),
        ("a~2", "two", "jumping", "validation"),
    ]
    assert [row.label for row in read(tmp_path, "auto")] == ["one", "two"]


def test_classes_are_numbers_of_names(tmp_path):
    write_tar(tmp_path / "train-000.tar", {"s/a.mp4": b"v", "s/a.cls": b"1\n", "s/b.MP4": b"v", "s/b.cls": b"0"})
    (tmp_path / "names.txt").write_text("brush hair\nclap\n")
    rows = read(tmp_path, caption="cls", classes="names.txt")
    assert [(row.video, row.label, row.template, row.official_split) for row in rows] == [
        ("train-000.tar/s/a.mp4", "clap", "clap", "train"),
        ("train-000.tar/s/b.MP4", "brush hair", "brush hair", "train"),
    ]
    with pytest.raises(UserError, match=r"s/a has the class 1 for a caption; .* dataset\.classes"):
        read(tmp_path, caption="cls")


def test_shards_may_lie_in_folders_of_splits_and_be_compressed(tmp_path):
    write_tar(tmp_path / "train" / "0.tar.gz", sample("a", "x"), "w:gz")
    write_tar(tmp_path / "val" / "0.tar", sample("a", "y"))
    write_zip(tmp_path / "other" / "0.zip", sample("a", "z"))
    assert [row[1:] for row in seen(read(tmp_path))] == [
        ("other/0.zip/a.mp4", "z", "all"),
        ("train/0.tar.gz/a.mp4", "x", "train"),
        ("val/0.tar/a.mp4", "y", "validation"),
    ]


def test_videos_of_one_sample_are_clips_of_their_own(tmp_path):
    write_tar(tmp_path / "x.tar", {"a.left.mp4": b"v", "a.right.mp4": b"v", "a.txt": b"two views", "a.mp3": b"sound"})
    assert [row[1:3] for row in seen(read(tmp_path))] == [
        ("x.tar/a.left.mp4", "two views"),
        ("x.tar/a.right.mp4", "two views"),
    ]


@pytest.mark.parametrize(
    ("members", "columns", "told"),
    [
        (sample("a", None, text="x"), {}, "no column 'caption'"),
        ({"a.mp4": b"v", "a.json": b"{"}, {}, "a.json: not JSON"),
        ({"a.mp4": b"v", "a.txt": b"\xf0\xf0\xf0"}, {}, "a.txt: not UTF-8"),
    ],
)
def test_bad_shards_are_told(tmp_path, members, columns, told):
    write_tar(tmp_path / "x.tar", members)
    with pytest.raises(UserError) as raised:
        read(tmp_path, **columns)
    assert told in str(raised.value)


def test_what_is_no_shard_and_what_lies_elsewhere_is_told(tmp_path):
    (tmp_path / "bad.tar").write_bytes(b"x" * 2000)
    with pytest.raises(UserError, match=r"bad\.tar is not a tar archive"):
        read(tmp_path)
    with pytest.raises(UserError, match=r"holds \.tar"):
        read(tmp_path / "none")
    write_tar(tmp_path / "labels" / "x.tar", sample("a", "x"))
    with pytest.raises(UserError, match=r"make dataset\.videos the folder it is in"):
        read(tmp_path / "labels", videos=tmp_path / "elsewhere")


def test_captions_of_videos_outside_of_shards_are_left_to_other_formats(tmp_path, capsys):
    write_tar(tmp_path / "videos.tar", {"a.mp4": b"v"})
    (tmp_path / "train.csv").write_text("path,caption\na.mp4,x\n")
    (row,) = read(tmp_path, "auto")
    assert "as table" in capsys.readouterr().out
    assert find_videos(tmp_path, [(row.id, row.video)], 1) == ["videos.tar/a.mp4"]
    assert find_videos(tmp_path, [("b", "b.mp4")], 1) == [Drop("b", "missing_video", "no b.mp4")]


def test_shards_that_dvc_has_put_behind_links_are_in_the_folder(tmp_path):
    kept = tmp_path / ".dvc/cache/files/md5/ab" / f"{1:030x}"
    write_tar(kept, sample("a", "x"))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "0.tar").symlink_to(kept)
    rows = read(tmp_path / "videos")
    assert seen(rows) == [("0.tar+a.mp4", "0.tar/a.mp4", "x", "all")]
    assert find_videos(tmp_path / "videos", [(row.id, row.video) for row in rows], 1) == ["0.tar/a.mp4"]
