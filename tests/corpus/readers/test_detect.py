"""Labels -> the format they look like, with `dataset.format: auto`."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from label_files import CASES, FILES, describe, write_files
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError


@pytest.mark.parametrize(("kind", "files"), [(kind, files) for kind, cases in CASES.items() for files in cases])
def test_a_folder_of_labels_is_read_as_what_it_looks_like(tmp_path, capsys, kind, files):
    write_files(tmp_path, files)
    assert list(read_rows(tmp_path, describe("auto", tmp_path))) == list(read_rows(tmp_path, describe(kind, tmp_path)))
    assert f"dataset.format auto reads {tmp_path} as {kind}: " in capsys.readouterr().out


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_labels_is_read_as_what_it_looks_like(tmp_path, capsys, kind):
    name, content = FILES[kind]
    write_files(tmp_path, {name: content})
    path = tmp_path / name
    assert read_rows(path, describe("auto", path)) == read_rows(path, describe(kind, path))
    assert f" as {kind}: " in capsys.readouterr().out


def test_a_parquet_table_is_read_by_its_columns(tmp_path, capsys):
    pq.write_table(pa.table({"path": ["a.mp4"], "caption": ["x"]}), tmp_path / "x.parquet")
    assert len(read_rows(tmp_path / "x.parquet", describe("auto", tmp_path / "x.parquet"))) == 1
    assert "as table: its columns are path, caption" in capsys.readouterr().out


def test_what_looks_like_nothing_is_told(tmp_path):
    with pytest.raises(UserError, match="auto knows no format that looks like this"):
        read_rows(tmp_path, reading("auto", tmp_path))
    with pytest.raises(UserError, match="no such labels"):
        read_rows(tmp_path / "gone", reading("auto", tmp_path / "gone"))


@pytest.mark.parametrize("words", [60_000, 4_000_000])
def test_a_first_line_as_long_as_a_book_names_no_columns(tmp_path, words):
    write_files(tmp_path, {"x.csv": "word " * words})
    with pytest.raises(
        UserError, match=r"x\.csv: (line 1: field larger than field limit|has no column 'path')"
    ) as told:
        read_rows(tmp_path / "x.csv", reading("auto", tmp_path / "x.csv"))
    assert len(str(told.value)) < 1000


def test_a_caption_as_long_as_a_book_is_no_cell_of_csv(tmp_path):
    write_files(tmp_path, {"x.jsonl": json.dumps({"path": "a.mp4", "caption": "word " * 60_000})})
    (row,) = read_rows(tmp_path / "x.jsonl", reading("auto", tmp_path / "x.jsonl"))
    assert len(row.label) == 300_000


def test_texts_in_another_folder_than_their_videos_are_no_classes(tmp_path):
    write_files(tmp_path, {"videos/a.mp4": "v", "texts/of/a.txt": "x"})
    with pytest.raises(UserError, match=r"such as videos/a.mp4; make dataset.labels the folder of texts"):
        read_rows(tmp_path, reading("auto", tmp_path))


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["IMG_1.MOV", "IMG_2.MOV"], "IMG_1.MOV has no text next to it"),
        (["videos/1.mp4", "videos/2.mp4"], "all videos are in videos, which names no classes"),
        (["train/1.mp4", "val/2.mp4"], "all videos are in train, val, which names no classes"),
    ],
)
def test_videos_without_labels_are_told(tmp_path, files, told):
    write_files(tmp_path, {**dict.fromkeys(files, "v"), "train/README.md": "x"})
    with pytest.raises(UserError, match=f"no captions found: {told}; name a table with a path and a caption"):
        read_rows(tmp_path, reading("auto", tmp_path))


@pytest.mark.parametrize("name", ["ucfTrainTestlist/classInd.txt", "testTrainMulti/brush_hair_test_split2.txt"])
@pytest.mark.parametrize("videos", [["UCF-101/YoYo/v_YoYo_g01_c01.avi", "UCF-101/Jump/v_Jump_g01_c01.avi"], []])
def test_official_split_lists_in_a_sub_folder_are_not_overlooked(tmp_path, name, videos):
    write_files(tmp_path, dict.fromkeys(videos, "v") | {name: "x"})
    message = rf"{name} is of official split lists; make dataset.labels \S+/{name.partition('/')[0]}, and keep"
    with pytest.raises(UserError, match=message):
        read_rows(tmp_path, reading("auto", tmp_path))


@pytest.mark.parametrize("beside", ["README", "frames/0001/000001.jpg", "all/1.mp4"])
@pytest.mark.parametrize(("name", "what"), [("labels/0001.mat", "MATLAB"), ("labels/x.pkl", "Python, which can run")])
def test_labels_that_only_programs_read_are_named(tmp_path, beside, name, what):
    write_files(tmp_path, {beside: "x", name: "x"})
    with pytest.raises(UserError, match=rf"{name}: files of {what}.* are not read; write what they say into a table"):
        read_rows(tmp_path, reading("auto", tmp_path))
    with pytest.raises(UserError, match=rf"{name}: files of {what}.* are not read; write what they say into a table"):
        read_rows(tmp_path / name, reading("auto", tmp_path / name))


@pytest.mark.parametrize("name", ["x.eaf", "x.csv", "x.json", "x.xml"])
def test_a_pointer_of_git_lfs_is_told(tmp_path, name):
    write_files(tmp_path, {name: "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"})
    with pytest.raises(UserError, match="a pointer of Git LFS in place of the file"):
        read_rows(tmp_path / name, reading("auto", tmp_path / name))


@pytest.mark.parametrize("header", ["video,caption_1", "path,label2", "video_id,text1,start_1"])
def test_names_of_columns_may_hold_digits(tmp_path, header):
    write_files(
        tmp_path, {"a1.mp4": "v", "clips.csv": f"{header}\na1.mp4,a dog runs{',0' * (header.count(',') - 1)}\n"}
    )
    caption = header.split(",")[1]
    dataset = reading("auto", tmp_path / "clips.csv", caption=caption)
    assert [row.label for row in read_rows(tmp_path / "clips.csv", dataset)] == ["a dog runs"]
    write_files(tmp_path, {"clips.csv": "video1,clip\nvideo2,jump\n"})
    dataset = reading("auto", tmp_path / "clips.csv")
    assert [row.label for row in read_rows(tmp_path / "clips.csv", dataset)] == ["clip", "jump"]
