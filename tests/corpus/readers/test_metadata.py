"""Metadata beside the videos -> rows."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from settings import reading

from pipeline.corpus.readers.table import read_metadata as read_rows
from pipeline.errors import UserError


def columns(**named):
    return reading("metadata", **named)


def write_csv(path, *rows, header="file_name,caption"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def seen(rows):
    return [(r.id, r.video, r.label, r.official_split) for r in rows]


def test_numbers_of_classes_are_no_captions(tmp_path):
    write_csv(tmp_path / "metadata.csv", "a.mp4,0", "b.mp4,1", header="file_name,label")
    with pytest.raises(UserError, match=r"metadata\.csv: all captions are numbers, such as '0'; .* dataset\.classes"):
        read_rows(tmp_path, columns(caption="label"))
    (tmp_path / "names.txt").write_text("PullUp\nrun\n")
    named = columns(caption="label").model_copy(update={"classes": "names.txt"})
    assert [(row.label, row.template) for row in read_rows(tmp_path, named)] == [("pull up", "PullUp"), ("run", "run")]
    with pytest.raises(UserError, match="no such table"):
        read_rows(tmp_path / "gone.parquet", columns())


def test_the_file_and_its_folder_give_the_same_rows_in_every_format(tmp_path):
    expected = [("a.mp4", "a.mp4", "x", "all"), ("s+b.mp4", "s/b.mp4", "y", "all")]
    write_csv(tmp_path / "one" / "metadata.csv", "a.mp4,x", "s/b.mp4,y")
    (tmp_path / "two").mkdir()
    lines = [{"file_name": "a.mp4", "caption": "x"}, {"file_name": "s/b.mp4", "caption": "y"}]
    (tmp_path / "two" / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "three").mkdir()
    pq.write_table(pa.Table.from_pylist(lines), tmp_path / "three" / "metadata.parquet")
    for folder in ("one", "two", "three"):
        assert seen(read_rows(tmp_path / folder, columns())) == expected
        (path,) = (tmp_path / folder).iterdir()
        assert seen(read_rows(path, columns())) == expected


def test_the_other_columns_have_the_names_given(tmp_path):
    write_csv(tmp_path / "metadata.csv", "a.mp4,x,up,dev,5", header="file_name,text,label,fold,n")
    (row,) = read_rows(tmp_path, columns(caption="text", category="label", split="fold", id="n"))
    assert (row.id, row.video, row.label, row.template, row.official_split) == ("5", "a.mp4", "x", "up", "validation")


def test_folders_of_splits_with_a_table_each_start_their_paths_there(tmp_path):
    for folder in ("train", "validation", "test"):
        write_csv(tmp_path / folder / "metadata.csv", "a.mp4,x")
    assert seen(read_rows(tmp_path, columns())) == [
        ("test+a.mp4", "test/a.mp4", "x", "test"),
        ("train+a.mp4", "train/a.mp4", "x", "train"),
        ("validation+a.mp4", "validation/a.mp4", "x", "validation"),
    ]


def test_one_table_above_folders_of_splits_knows_them_by_the_paths(tmp_path):
    write_csv(tmp_path / "metadata.csv", "train/a.mp4,x", "val/b.mp4,y")
    assert [r.official_split for r in read_rows(tmp_path, columns())] == ["train", "validation"]
    write_csv(tmp_path / "metadata.csv", "train/a.mp4,x", "other/b.mp4,y")
    assert [r.official_split for r in read_rows(tmp_path, columns())] == ["all", "all"]


def test_a_column_of_splits_wins_over_the_folders(tmp_path):
    write_csv(tmp_path / "train" / "metadata.csv", "a.mp4,x,test", "b.mp4,x,", header="file_name,caption,split")
    assert [r.official_split for r in read_rows(tmp_path, columns(split="split"))] == ["test", "all"]


def test_tables_that_may_list_the_same_videos_are_refused(tmp_path):
    write_csv(tmp_path / "metadata.csv", "train/a.mp4,x")
    write_csv(tmp_path / "train" / "metadata.csv", "a.mp4,x")
    with pytest.raises(UserError, match=r"metadata\.csv and .*train/metadata\.csv may list the same videos"):
        read_rows(tmp_path, columns())
    (tmp_path / "metadata.csv").unlink()
    (tmp_path / "train" / "metadata.jsonl").touch()
    with pytest.raises(UserError, match="keep one in each folder"):
        read_rows(tmp_path, columns())


def test_a_folder_without_metadata_and_a_table_without_file_names_are_named(tmp_path):
    with pytest.raises(UserError, match=r"neither it nor a folder in it holds metadata\.csv, metadata\.jsonl"):
        read_rows(tmp_path, columns())
    write_csv(tmp_path / "metadata.csv", "a.mp4,x", header="filename,caption")
    with pytest.raises(UserError, match=r"has no column 'file_name' .*did you mean 'filename'\?"):
        read_rows(tmp_path, columns())


def test_videos_may_be_named_in_video_file_name(tmp_path):
    write_csv(tmp_path / "metadata.csv", "a.mp4,x", header="video_file_name,caption")
    assert seen(read_rows(tmp_path, columns())) == [("a.mp4", "a.mp4", "x", "all")]


def test_tables_lie_at_any_depth_and_folders_of_splits_below_others(tmp_path):
    for folder in ("data/train", "data/test", ".cache/x"):
        write_csv(tmp_path / folder / "metadata.csv", "a.mp4,x")
    assert seen(read_rows(tmp_path, columns())) == [
        ("data+test+a.mp4", "data/test/a.mp4", "x", "test"),
        ("data+train+a.mp4", "data/train/a.mp4", "x", "train"),
    ]
    write_csv(tmp_path / "data" / "metadata.csv", "train/a.mp4,x")
    with pytest.raises(UserError, match="may list the same videos"):
        read_rows(tmp_path, columns())


def test_several_videos_of_a_row_are_clips_of_their_own(tmp_path):
    rows = [{"video_file_names": ["a.mp4", "b.mp4"], "caption": "x"}, {"video_file_names": [], "caption": "none"}]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    read = read_rows(tmp_path, columns())
    assert [row[1:3] for row in seen(read)] == [("a.mp4", "x"), ("b.mp4", "x"), ("", "none")]
    assert [row.group for row in read] == ["line 1", "line 1", ""]  # they stay in one split


@pytest.mark.parametrize(
    ("header", "video"),
    [
        ("front_file_name,caption", "a.mp4"),
        ("mask_file_name,video_file_name,caption", "v.mp4"),
        ("front_video_file_name,image_file_name,caption", "a.mp4"),
    ],
)
def test_the_column_of_the_videos_is_told_by_its_name(tmp_path, header, video):
    cells = {2: "a.mp4,x", 3: "a.mp4,v.mp4,x"}[header.count(",") + 1]
    write_csv(tmp_path / "metadata.csv", cells, header=header)
    assert [row.video for row in read_rows(tmp_path, columns())] == [video]


def test_columns_none_of_which_is_told_are_refused(tmp_path):
    write_csv(tmp_path / "metadata.csv", "a.mp4,b.mp4,x", header="front_file_name,back_file_name,caption")
    with pytest.raises(UserError, match="front_file_name, back_file_name; call the one of the videos video_file_name"):
        read_rows(tmp_path, columns())


def test_words_for_nothing_are_no_captions_in_csv_alone(tmp_path):
    write_csv(tmp_path / "one" / "metadata.csv", "a.mp4,NA", "b.mp4,null", "c.mp4,nan", "d.mp4,None", "e.mp4,Nan bread")
    assert [row.label for row in read_rows(tmp_path / "one", columns())] == ["", "", "", "", "Nan bread"]
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "metadata.jsonl").write_text(json.dumps({"file_name": "a.mp4", "caption": "NA"}))
    assert [row.label for row in read_rows(tmp_path / "two", columns())] == ["NA"]
