"""Tables of any columns -> rows."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from settings import reading

from pipeline.corpus import LabelRow
from pipeline.corpus.readers.cells import list_column_names
from pipeline.corpus.readers.table import read_rows
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
        location=("clips.csv", "line 2"),
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
    with pytest.raises(UserError, match=r"clips\.csv: line 3 has the split 'holdout' .*known are train, training, val"):
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
    assert [(r.id, r.official_split, r.location[0]) for r in read_rows(folder, columns())] == [
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


def test_a_path_may_be_made_of_columns(tmp_path, capsys):
    text = "label,youtube_id,time_start,time_end,split\nplaying (x),-abc,1,11,validate\n,-abd,1,2,\n"
    named = {"caption": "label", "split": "split", "path": "{label}/{youtube_id}_{time_start:06d}_{time_end:06d}"}
    rows = read_rows(table(tmp_path, text), columns(**named))
    assert [(row.video, row.official_split) for row in rows] == [
        ("playing (x)/-abc_000001_000011", "validation"),
        ("", "all"),
    ]
    assert capsys.readouterr().err == ""
    pq.write_table(pa.table({"label": ["x"], "n": [7.0]}), tmp_path / "clips.parquet")
    (row,) = read_rows(tmp_path / "clips.parquet", columns(caption="label", path="{label}_{n:03d}.mp4"))
    assert row.video == "x_007.mp4"


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            "{label}_{time:06d}",
            r"clips\.csv: line 2 has '1\.5' under 'time', which dataset\.columns\.path writes as '06d'",
        ),
        ("{label}_{tim:06d}", r"has no column 'tim' \(dataset\.columns\.path \{tim\}\); did you mean 'time'"),
        ("{label", r"dataset\.columns\.path '\{label': expected '\}'"),
        ("{}/x", "a pair of braces holds the name of a column"),
        ("{label:q}", "dataset.columns.path writes as 'q'"),
    ],
)
def test_a_bad_pattern_of_a_path_is_named(tmp_path, pattern, message):
    path = table(tmp_path, "label,time\nx,1.5\n")
    with pytest.raises(UserError, match=message):
        read_rows(path, columns(caption="label", path=pattern))


def test_a_cell_with_several_captions_gives_a_row_for_each(tmp_path):
    path = table(tmp_path, json.dumps({"path": "a.mp4", "caption": ["x", "y"]}), "clips.jsonl")
    assert [(row.id, row.label) for row in read_rows(path, columns())] == [("a.mp4", "x"), ("a.mp4~2", "y")]
    path = table(tmp_path, json.dumps({"id": 7, "caption": ["x", "y"]}), "clips.jsonl")
    assert [row.id for row in read_rows(path, columns(path=None, id="id"))] == ["7", "7~2"]


@pytest.mark.parametrize(
    "header",
    ["start,end", "start_time,stop_time", "start_timestamp,stop_timestamp", "startFrame,endFrame", "timestamps,x",
     "segment,x",
     "temporal_segment_start,temporal_segment_end", "Start (s),Stop (s)", "t_start,t_end"],
)  # fmt: skip
def test_columns_that_look_like_parts_of_videos_are_warned_of(tmp_path, capsys, header):
    read_rows(table(tmp_path, f"path,caption,{header}\na.mp4,x,1,2\n"), columns())
    told = capsys.readouterr().err
    assert told.startswith("warning: ") and "clips.csv" in told and header.split(",")[0] in told
    assert "the whole video is taken for each row" in told


@pytest.mark.parametrize("header", ["start,width", "duration,fps", "friend,backend", "from,subject", "page_idx,name"])
def test_other_columns_are_not_warned_of(tmp_path, capsys, header):
    read_rows(table(tmp_path, f"path,caption,{header}\na.mp4,x,1,2\n"), columns())
    assert capsys.readouterr().err == ""


def test_the_wrong_delimiter_is_told_by_name_and_may_be_set(tmp_path):
    path = table(tmp_path, "path;caption\na.mp4;A dog, a cat\n")
    with pytest.raises(UserError, match=r"separated by ';', not ','.* set dataset\.delimiter: semicolon"):
        read_rows(path, columns().model_copy(update={"delimiter": "comma"}))
    (row,) = read_rows(path, columns().model_copy(update={"delimiter": "semicolon"}))
    assert row.label == "A dog, a cat"


@pytest.mark.parametrize(
    ("name", "first", "header"),
    [
        ("clips.csv", "\ufeff", "path;caption"),
        ("clips.csv", "sep=;\r\n", "path;caption"),
        ("clips.csv", "\ufeffSEP=;\n", "path;caption"),
        ("clips.csv", "sep=,\n", "path,caption"),
        ("clips.csv", "", "path\tcaption"),
        ("clips.tsv", "", "path,caption"),
        ("clips.tsv", "", "path;caption"),
    ],
)
def test_what_separates_a_table_is_seen_in_its_first_line(tmp_path, name, first, header):
    sign = header.removeprefix("path").removesuffix("caption")
    path = table(tmp_path, f"{first}{header}\na.mp4{sign}Ein Hund läuft\n", name)
    (row,) = read_rows(path, columns())
    line = 3 if "sep" in first.lower() else 2
    assert (row.video, row.label, row.location[1]) == ("a.mp4", "Ein Hund läuft", f"line {line}")
    assert list_column_names(path) == ["path", "caption"]


def test_a_header_that_several_signs_part_is_read_by_the_ending(tmp_path):
    path = table(tmp_path, "path,caption;text\na.mp4,A dog; a cat\n")
    (row,) = read_rows(path, columns(caption="caption;text"))
    assert row.label == "A dog; a cat"
    with pytest.raises(UserError, match="has no column 'path'"):  # tabs or semicolons? nobody can tell
        read_rows(table(tmp_path, "path\tcaption;text\na.mp4\tA dog\n", "b.csv"), columns())


def test_columns_may_go_by_place(tmp_path):
    (row,) = read_rows(table(tmp_path, "a,b,c\nx.mp4,y,z\n"), columns(path=1, caption=3))
    assert (row.video, row.label) == ("x.mp4", "z")
    with pytest.raises(UserError, match=r"has 3 columns, but dataset\.columns\.caption is 4"):
        read_rows(tmp_path / "clips.csv", columns(path=1, caption=4))


def test_an_absolute_path_into_the_videos_has_the_id_of_one_within_them(tmp_path):
    path = table(tmp_path, f"path,caption\n{tmp_path}/videos/s/a.mp4,x\n/other/b.mp4,y\n")
    rows = read_rows(path, reading("table", path))
    assert [(row.id, row.video) for row in rows] == [("s+a.mp4", "s/a.mp4"), ("+other+b.mp4", "/other/b.mp4")]


def test_rows_about_parts_of_one_video_are_clips_of_their_own(tmp_path):
    text = "path,caption,from,to\na.mp4,one,0,2.5\na.mp4,two,00:00:02.50,4 \na.mp4,three,2.5,4\na.mp4,odd,5,4\n"
    rows = list(read_rows(table(tmp_path, text), columns(start="from", end="to")))
    assert [row.id for row in rows] == [
        "a.mp4@00000.000-00002.500",
        "a.mp4@00002.500-00004.000",
        "a.mp4@00002.500-00004.000~2",
        "a.mp4",
    ]
    assert [tuple(row.segment) for row in rows[:2]] == [(0.0, 2.5), (2.5, 4.0)]
    assert [bool(row.segment_fault) for row in rows] == [False, False, False, True]


def test_a_list_of_parts_goes_with_a_list_of_captions_or_with_one(tmp_path):
    listed = [
        {"path": "a.mp4", "caption": [" A dog", "It runs"], "times": [[0, 2], [2, 4]]},
        {"path": "b.mp4", "caption": "A cat", "times": [[0, 2], [6, 8]]},
        {"path": "c.mp4", "caption": "['x', 'y', 'z']", "times": "[['0:00:01', '0:00:02'], ['0:00:02', '0:00:03']]"},
        {"path": "d.mp4", "caption": "['x', 'y']", "times": "[['0:00:01', '0:00:02'], ['0:00:02', '0:00:03']]"},
    ]
    path = table(tmp_path, "\n".join(map(json.dumps, listed)), "clips.jsonl")
    rows = list(read_rows(path, columns(segment="times")))
    assert [(row.video, row.label, row.segment.start) for row in rows if not row.segment_fault] == [
        ("a.mp4", " A dog", 0.0),
        ("a.mp4", "It runs", 2.0),
        ("b.mp4", "A cat", 0.0),
        ("b.mp4", "A cat", 6.0),
        ("d.mp4", "x", 1.0),
        ("d.mp4", "y", 2.0),
    ]
    [odd] = [row for row in rows if row.segment_fault]
    assert odd.video == "c.mp4" and odd.segment_fault == "2 parts of the video, but 3 captions"


def test_an_own_id_with_several_parts_numbers_them(tmp_path):
    listed = [{"path": "a.mp4", "caption": "x", "times": [[0, 2], [2, 4]], "id": "7"}]
    path = table(tmp_path, json.dumps(listed[0]), "clips.jsonl")
    assert [row.id for row in read_rows(path, columns(segment="times", id="id"))] == ["7", "7~2"]


def test_a_segment_is_named_once():
    with pytest.raises(UserError, match=r"set columns\.start and columns\.end to null"):
        columns(segment="times", start="from")


def test_a_column_tells_which_way_a_clip_moves(tmp_path):
    text = "path,caption,way\na.mp4,one,Left\nb.mp4,two,\nc.mp4,three,up-right\n"
    rows = list(read_rows(table(tmp_path, text), columns(direction="way")))
    assert [row.moves for row in rows] == ["left", "", "up right"]
    odd = table(tmp_path, "path,caption,way\na.mp4,one,north\n", "odd.csv")
    with pytest.raises(
        UserError, match=r"line 2 has the direction 'north' \(dataset\.columns\.direction\); known are left"
    ):
        list(read_rows(odd, columns(direction="way")))


def test_captions_that_are_objects_are_refused_with_the_names_of_their_texts(tmp_path):
    row = {"path": "a.mp4", "caption": [{"n": 1, "text": "a cat", "by": "ann"}]}
    path = table(tmp_path, json.dumps(row), "x.jsonl")
    told = "line 1 has objects with n, text, by under 'caption' for captions; set .* to caption.text or caption.by"
    with pytest.raises(UserError, match=told):
        read_rows(path, columns())
    assert [row.label for row in read_rows(path, columns(caption="caption.text"))] == ["a cat"]
