"""Columns that are called otherwise than params say, with `dataset.format: auto`."""

import json
import math

import pytest
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.corpus.readers.set_reader import detect_set
from pipeline.errors import UserError

WHOLE = (0.0, math.inf)


def seen(file, content, **columns):
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    rows = read_rows(file, reading("auto", file, **columns))
    return [(row.video, row.label, row.template, row.official_split, tuple(row.segment)) for row in rows]


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("x.csv", "File Name,text\na.mp4,A dog\n", [("a.mp4", "A dog", "all", "all", WHOLE)]),
        ("x.csv", "clip_path,label,subset\na.mp4,jump,val\n", [("a.mp4", "jump", "jump", "validation", WHOLE)]),
        (
            "x.tsv",
            "vid\tquery\tstart_sec\tend_sec\tstart_frame\tend_frame\nab\tA dog\t1.5\t3\t45\t90\n",
            [("**/ab", "A dog", "all", "all", (1.5, 3.0))],
        ),
        (
            "x.jsonl",
            '{"video": "a.mp4", "desc": "A dog", "segment": [1, 2]}\n',
            [("a.mp4", "A dog", "all", "all", (1, 2))],
        ),
        (
            "x.json",
            [{"path": "a.mp4", "caption": "A dog", "start": 1, "end": 2}],
            [("a.mp4", "A dog", "all", "all", (1, 2))],
        ),
        (
            "x.json",
            {"v1": {"length": 9, "events": [{"begin": 1, "end": 2, "text": "A"}, {"begin": 0, "end": 9, "text": "B"}]}},
            [("**/v1", "A", "all", "all", (1, 2)), ("**/v1", "B", "all", "all", (0, 9))],
        ),
        (
            "x.json",
            {
                "database": {
                    "v1": {"subset": "training", "annotation": [{"id": "3", "segment": [1, 2], "label": "cut"}]}
                }
            },
            [("**/v1", "cut", "cut", "train", (1, 2))],
        ),
        # Frames alone have no rate: the whole video is taken, and a warning says so.
        ("x.csv", "video,text,start_frame,end_frame\na.mp4,A dog,5,9\n", [("a.mp4", "A dog", "all", "all", WHOLE)]),
        ("x.csv", "video,text,start_idx,end_idx\na.mp4,A dog,5,9\n", [("a.mp4", "A dog", "all", "all", WHOLE)]),
        # The names of these tell their unit.
        ("x.csv", "video,text,start_ms,end_ms\na.mp4,A dog,500,900\n", [("a.mp4", "A dog", "all", "all", (0.5, 0.9))]),
        (
            "x.json",
            [{"video": "a.mp4", "said": [{"startMillis": 500, "endMillis": 1250, "text": "A dog"}]}],
            [("a.mp4", "A dog", "all", "all", (0.5, 1.25))],
        ),
        # Nothing is called as a caption, but one ends so.
        ("x.csv", "video_path,tag,clip_text\na.mp4,t,A dog\n", [("a.mp4", "A dog", "all", "all", WHOLE)]),
        ("x.json", [{"path": "a.mp4", "cap": ["A dog"]}], [("a.mp4", "A dog", "all", "all", WHOLE)]),
        # TVR has the part as `ts`, How2Sign has words behind its times, WLASL has lists of videos under each word.
        ("x.jsonl", '{"ts": [1, 2], "vid_name": "v", "desc": "A dog"}\n', [("**/v", "A dog", "all", "all", (1, 2))]),
        (
            "x.tsv",
            "VIDEO_NAME\tSTART_REALIGNED\tEND_REALIGNED\tSENTENCE\nv\t1\t2\tHi\n",
            [("**/v", "Hi", "all", "all", (1.0, 2.0))],
        ),
        # What else is called by a name that seldom means a caption, or contains names of videos.
        ("x.csv", ",video_name,tag\n0,v.avi,YoYo\n", [("**/v.avi", "YoYo", "YoYo", "all", WHOLE)]),
        ("x.csv", "id|folder|annotation\nab|ab/1/*.png|SNOW\n", [("**/ab", "SNOW", "all", "all", WHOLE)]),
        ("x.csv", "id,caption,media_path\n1,A dog,s/a.mp4\n", [("**/s/a.mp4", "A dog", "all", "all", WHOLE)]),
        (
            "x.json",
            [{"caption": "A dog", "media_path": "s/a.mp4", "url": "https://host/x.mp4"}],
            [("**/s/a.mp4", "A dog", "all", "all", WHOLE)],
        ),
        ("x.csv", "key,caption\n01,A dog\n", [("**/01", "A dog", "all", "all", WHOLE)]),
        ("x.json", {"1": {"said": {"label": "run"}, "cut": "a.mp4"}}, [("**/1", "run", "run", "all", WHOLE)]),
        # BDD100K names its videos beside lists of what is in them, which have ids of their own.
        (
            "x.json",
            [{"name": "a.mov", "labels": [{"category": "car", "id": "7"}]}],
            [("**/a.mov", "car", "car", "all", WHOLE)],
        ),
        (
            "x.json",
            [
                {
                    "gloss": "book",
                    "instances": [{"video_id": "07", "split": "train"}, {"video_id": "8", "split": "val"}],
                },
                {"gloss": "drink", "instances": [{"video_id": "9", "split": "test"}]},
            ],
            [
                ("**/07", "book", "book", "train", WHOLE),
                ("**/8", "book", "book", "validation", WHOLE),
                ("**/9", "drink", "drink", "test", WHOLE),
            ],
        ),
        ("x.csv", "file|text\na.mp4|A dog, running\n", [("a.mp4", "A dog, running", "all", "all", WHOLE)]),
        ("metadata.csv", "file_name,text\na.mp4,A dog\n", [("a.mp4", "A dog", "all", "all", WHOLE)]),
        ("x.csv", "video,title,begin,finish\na.mp4,A dog,1,2\n", [("a.mp4", "A dog", "all", "all", (1.0, 2.0))]),
    ],
)
def test_columns_are_known_by_what_they_are_called(tmp_path, capsys, name, content, rows):
    assert seen(tmp_path / name, content) == rows
    assert "; columns: " in capsys.readouterr().out


def test_what_params_name_stays(tmp_path, capsys):
    table = "video,text,title,category,start,end\na.mp4,A dog,Dogs,pets,1,2\n"
    assert seen(tmp_path / "x.csv", table, caption="title", category="text") == [
        ("a.mp4", "Dogs", "A dog", "all", (1.0, 2.0))
    ]
    assert "columns: path video, start start, end end\n" in capsys.readouterr().out
    assert seen(tmp_path / "x.csv", table, path="{title}/{video}", end="end")[0] == (
        *("Dogs/a.mp4", "A dog", "pets", "all", (0.0, 2.0)),
    )


def test_a_test_set_without_captions_is_skipped(tmp_path, capsys):
    (tmp_path / "Test.csv").write_text("id,frames\n77,3\n")
    (tmp_path / "Train.csv").write_text("video_id,label\n1,Swiping Left\n")
    rows = read_rows(tmp_path, reading("auto", tmp_path))
    assert [(row.video, row.label, row.official_split) for row in rows] == [("**/1", "Swiping Left", "train")]
    assert "Test.csv has no column 'label' and is skipped" in capsys.readouterr().err


def test_numbers_of_lists_are_named_by_the_file_of_classes_beside_them(tmp_path, capsys):
    (tmp_path / "rawframes_train_list.txt").write_text("a/b 3 1\nc 3 0\n")
    (tmp_path / "label_map.txt").write_text("jump\nrun\n")
    rows = read_rows(tmp_path, reading("auto", tmp_path))
    assert [(row.video, row.label) for row in rows] == [("a/b", "run"), ("c", "jump")]
    assert "; columns: classes label_map.txt" in capsys.readouterr().out
    (tmp_path / "classes.txt").write_text("jump\nrun\n")
    with pytest.raises(UserError, match="has the number '3 1' for a caption; name the file of class names"):
        read_rows(tmp_path, reading("auto", tmp_path))


def test_a_spreadsheet_of_another_kind_is_told_to_be_saved_as_csv(tmp_path):
    (tmp_path / "clips.ods").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"save it as \.xlsx, or save it as CSV with UTF-8"):
        read_rows(tmp_path / "clips.ods", reading("auto", tmp_path / "clips.ods"))


def test_a_folder_is_guessed_by_its_first_file(tmp_path):
    for name in ("train.csv", "val.csv"):
        (tmp_path / name).write_text("video,text\na.mp4,A dog\n")
    rows = read_rows(tmp_path, reading("auto", tmp_path))
    assert [(row.label, row.official_split) for row in rows] == [("A dog", "train"), ("A dog", "validation")]


def test_captions_that_are_numbers_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"x\.csv: all captions are numbers, such as '3'; name the column of captions"):
        seen(tmp_path / "x.csv", "video,label\na.mp4,3\nb.mp4,\nc.mp4,-1\n")
    with pytest.raises(UserError, match=r"x\.json: all captions are numbers, such as '3'"):
        seen(tmp_path / "x.json", [{"video": "a.mp4", "label": 3}])
    assert seen(tmp_path / "x.csv", "video,label,classname\na.mp4,1,Polo\n")[0][1] == "Polo"


def test_a_folder_with_a_text_beside_each_video_is_not_searched_for_a_set(tmp_path):
    for number in range(101):
        (tmp_path / f"{number}.txt").write_text("AO8RW 0.0 6.9##a person")
    assert detect_set(tmp_path) is None
    assert detect_set(tmp_path / "0.txt") == ("charades_sta", "0.txt has lines of that kind")


def test_metadata_may_name_its_videos_in_another_column(tmp_path):
    (tmp_path / "metadata.csv").write_text("video,prompt\na.mp4,A dog\n")
    [row] = read_rows(tmp_path, reading("auto", tmp_path))
    assert (row.video, row.label) == ("a.mp4", "A dog")
    assert read_rows(tmp_path, reading("metadata", tmp_path, path="video", caption="prompt")) == [row]


def test_a_name_that_leads_into_an_object_is_not_guessed_otherwise(tmp_path):
    content = [{"path": "a.mp4", "caption": {"en": "A dog", "de": "Ein Hund"}}]
    assert seen(tmp_path / "x.json", content, caption="caption.de") == [("a.mp4", "Ein Hund", "all", "all", WHOLE)]


@pytest.mark.parametrize("column", ["video_url", "url", "uri"])
def test_addresses_of_videos_name_them(tmp_path, column):
    (tmp_path / "x.ndjson").write_text(json.dumps({column: "https://host/s/a.mp4", "caption": "x", "id": "7"}))
    rows = read_rows(tmp_path / "x.ndjson", reading("auto", tmp_path / "x.ndjson"))
    assert [(row.video, row.label) for row in rows] == [("**/a.mp4", "x")]


def test_an_id_precedes_the_address_of_a_page(tmp_path):
    (tmp_path / "x.csv").write_text("video_id,url,caption\na1,https://host/watch?v=a1,x\n")
    assert read_rows(tmp_path / "x.csv", reading("auto", tmp_path / "x.csv"))[0].video == "**/a1"


PAGE = "https://www.youtube.com/watch?v=9lZi22qLlEo"


@pytest.mark.parametrize(
    ("video", "part"),
    [
        *(("cut12.mp4", WHOLE), ("9lZi22qLlEo_000137_000149.mp4", WHOLE)),
        *(("9lZi22qLlEo.mp4", (5, 9)), ("v_9lZi22qLlEo.mp4", (5, 9)), ("Title [9lZi22qLlEo].mp4", (5, 9))),
    ],
)
@pytest.mark.parametrize("name", ["x.json", "x.csv"])
def test_times_of_the_page_that_a_clip_was_cut_from_are_not_its_own(tmp_path, capsys, name, video, part):
    row = {"video": video, "caption": "A dog", "url": PAGE, "start": 5, "end": 9}
    content = [row] if name == "x.json" else f"{','.join(row)}\n{','.join(map(str, row.values()))}\n"
    assert seen(tmp_path / name, content) == [(video, "A dog", "all", "all", part)]
    told = "the columns start, end look like parts of videos, but nothing in dataset.columns names them"
    assert (told in capsys.readouterr().err) == (part == WHOLE)
    assert seen(tmp_path / name, content, start="start", end="end")[0][4] == (5, 9)


def test_chosen_times_are_not_doubted_if_there_are_others_as_of_ms_asl(tmp_path, capsys):
    row = {"file": "match", "text": "match", "start": 0, "end": 83, "start_time": 0.5, "end_time": 2.5, "url": PAGE}
    chosen = {"path": "url", "start": "start_time", "end": "end_time"}
    assert seen(tmp_path / "x.json", [row], **chosen) == [("**/9lZi22qLlEo", "match", "all", "all", (0.5, 2.5))]
    assert "look like parts" not in capsys.readouterr().err
