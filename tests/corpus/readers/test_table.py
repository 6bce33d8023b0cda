"""Tables of any columns -> rows."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from settings import reading

from pipeline.corpus.readers.table import read_rows
from pipeline.corpus.rows import LabelRow
from pipeline.errors import UserError


def table(folder, text, name="clips.csv"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def columns(**named):
    return reading("table", **named)


def test_path_and_caption_are_enough(tmp_path):
    (row,) = read_rows(table(tmp_path, "path,caption\na/b.mp4,A dog runs\n"), columns())
    assert row == LabelRow(
        id="a+b.mp4",
        label="A dog runs",
        template="all",
        placeholders=(),
        objects=(),
        official_split="all",
        place=("clips.csv", 0),
        video="a/b.mp4",
    )


def test_every_column_may_have_any_name(tmp_path):
    text = 'split of it,number,file,said,what,seen\nVal,7,x.mp4,A dog runs,running,"dog, the ball ,"\n'
    named = {"path": "file", "caption": "said", "category": "what", "objects": "seen", "split": "split of it"}
    (row,) = read_rows(table(tmp_path, text), columns(**named, id="number"))
    assert (row.id, row.video, row.label, row.template) == ("7", "x.mp4", "A dog runs", "running")
    assert (row.objects, row.official_split) == (("dog", " the ball "), "validation")


def test_ids_may_be_numbers_and_name_the_videos(tmp_path):
    listed = [{"id": 7, "caption": "x"}, {"id": 8.0, "caption": "y"}, {"id": "9", "caption": "z"}]
    path = table(tmp_path, "\n".join(map(json.dumps, listed)), "clips.jsonl")
    assert [(r.id, r.video) for r in read_rows(path, columns(path=None, id="id"))] == [("7", ""), ("8", ""), ("9", "")]
    pq.write_table(pa.table({"id": pa.array([7, 8]), "caption": ["x", "y"]}), tmp_path / "clips.parquet")
    assert [r.id for r in read_rows(tmp_path / "clips.parquet", columns(path=None, id="id"))] == ["7", "8"]


def test_lists_of_objects_are_read_as_json_and_parquet_hold_them(tmp_path):
    listed = {"path": ["a.mp4", "b.mp4", "c.mp4"], "caption": ["x", "y", "z"], "seen": [["dog", "red, ball"], [], None]}
    pq.write_table(pa.table(listed), tmp_path / "clips.parquet")
    expected = [("dog", "red, ball"), (), ()]
    assert [r.objects for r in read_rows(tmp_path / "clips.parquet", columns(objects="seen"))] == expected
    lines = [dict(zip(listed, cells, strict=True)) for cells in zip(*listed.values(), strict=True)]
    path = table(tmp_path, "\n".join(map(json.dumps, lines)), "clips.jsonl")
    assert [r.objects for r in read_rows(path, columns(objects="seen"))] == expected


def test_empty_cells_are_empty_texts_and_an_empty_split_is_none(tmp_path):
    rows = read_rows(table(tmp_path, "path,caption,split,category\n,,,\na.mp4\n"), columns(split="split"))
    assert [(r.id, r.video, r.label, r.official_split) for r in rows] == [
        ("", "", "", "all"),
        ("a.mp4", "a.mp4", "", "all"),
    ]
    (row, _) = read_rows(tmp_path / "clips.csv", columns(category="category"))
    assert row.template == ""


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *[(name, "train") for name in ("train", "training", "TRAIN", " Train ")],
        *[(name, "validation") for name in ("val", "valid", "validation", "dev")],
        *[(name, "test") for name in ("test", "testing", "eval")],
    ],
)
def test_the_usual_names_of_splits_are_known(tmp_path, name, part):
    (row,) = read_rows(table(tmp_path, f"path,caption,split\na.mp4,x,{name}\n"), columns(split="split"))
    assert row.official_split == part


def test_an_unknown_split_is_refused_with_its_row_and_the_known_ones(tmp_path):
    path = table(tmp_path, "path,caption,split\na.mp4,x,train\nb.mp4,y,holdout\n")
    with pytest.raises(UserError, match=r"clips\.csv: row 1 has the split 'holdout' .*known are train, training, val"):
        read_rows(path, columns(split="split"))


def test_several_captions_of_one_video_have_ids_of_their_own(tmp_path):
    path = table(tmp_path, "path,caption\na.mp4,x\nb.mp4,y\n./a.mp4,z\n")
    assert [r.id for r in read_rows(path, columns())] == ["a.mp4", "b.mp4", "a.mp4~2"]


def test_a_folder_of_tables_gives_their_rows_each_in_the_split_of_its_name(tmp_path):
    folder = tmp_path / "labels"
    table(folder, "path,caption\na.mp4,x\na.mp4,y\n", "train.csv")
    table(folder, "path,caption\nb.mp4,x\na.mp4,z\n", "val.csv")
    table(folder, '{"path": "c.mp4", "caption": "x"}', "test.jsonl")
    table(folder, "how it was made", "README.md")
    table(folder, "junk", "._train.csv")
    assert [(r.id, r.official_split, r.place[0]) for r in read_rows(folder, columns())] == [
        ("c.mp4", "test", "test.jsonl"),
        ("a.mp4", "train", "train.csv"),
        ("a.mp4~2", "train", "train.csv"),
        ("b.mp4", "validation", "val.csv"),
        ("a.mp4~3", "validation", "val.csv"),
    ]


def test_a_folder_with_no_table_or_an_odd_one_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no table, but a folder of tables has one per split, named train, "):
        read_rows(tmp_path, columns())
    table(tmp_path, "path,caption\n", "train.csv")
    table(tmp_path, "path,caption\n", "extra.csv")
    with pytest.raises(UserError, match=r"holds extra\.csv, but"):
        read_rows(tmp_path, columns())
