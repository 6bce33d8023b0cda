"""JSON of any nesting -> rows."""

import json

import pytest
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.corpus.readers.json_files import forget_content, read_content
from pipeline.errors import UserError


def seen(labels, content=None, /, **columns):
    path = labels
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return [
        (row.id, row.label, row.video, row.official_split) for row in read_rows(path, reading("json", path, **columns))
    ]


DOG, CAT = ("a.mp4", "A dog", "a.mp4", "all"), ("s+b.mp4", "A cat", "s/b.mp4", "all")


@pytest.mark.parametrize("kind", ["json", "auto"])
def test_json_lines_are_read_under_any_name(tmp_path, kind):
    lines = [{"path": "a.mp4", "caption": "A dog"}, {"path": "s/b.mp4", "caption": "A\u2028cat"}]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    rows = read_rows(tmp_path / "x.json", reading(kind, tmp_path / "x.json"))
    assert [(row.video, row.label) for row in rows] == [("a.mp4", "A dog"), ("s/b.mp4", "A\u2028cat")]
    (tmp_path / "x.json").write_text(text + "\n{", encoding="utf-8")
    with pytest.raises(UserError, match="not JSON"):
        read_rows(tmp_path / "x.json", reading(kind, tmp_path / "x.json"))


@pytest.mark.parametrize(
    "content",
    [
        [{"path": "a.mp4", "caption": "A dog"}, {"path": "s/b.mp4", "caption": "A cat", "more": [1]}],
        {"version": "1", "data": [{"path": "a.mp4", "caption": "A dog"}, {"path": "s/b.mp4", "caption": "A cat"}]},
        {"a.mp4": "A dog", "s/b.mp4": ["A cat"]},
        {"a.mp4": {"caption": "A dog", "caption_short": "dog"}, "s/b.mp4": {"caption": "A cat"}},
        {"database": {"a.mp4": {"caption": "A dog"}, "s/b.mp4": {"caption": "A cat"}}, "version": "x"},
        {"path": ["a.mp4", "s/b.mp4"], "caption": ["A dog", "A cat"]},
    ],
)
def test_each_nesting_gives_the_same_rows(tmp_path, content):
    assert seen(tmp_path / "clips.json", content) == [DOG, CAT]


def test_a_list_of_captions_gives_a_row_for_each(tmp_path):
    assert seen(tmp_path / "captions.json", {"a.mp4": ["A dog", "It runs"], "b.mp4": []}) == [
        DOG,
        ("a.mp4~2", "It runs", "a.mp4", "all"),
        ("b.mp4", "", "b.mp4", "all"),
    ]
    vatex = [{"videoID": "x_000055_000065", "enCap": ["A dog", "It runs"], "chCap": ["x"]}]
    assert [row[:3] for row in seen(tmp_path / "vatex.json", vatex, path="videoID", caption="enCap")] == [
        ("x_000055_000065", "A dog", "x_000055_000065"),
        ("x_000055_000065~2", "It runs", "x_000055_000065"),
    ]
    assert [row[0] for row in seen(tmp_path / "vatex.json", path="videoID", caption="enCap", id="videoID")] == [
        "x_000055_000065",
        "x_000055_000065~2",
    ]


def test_a_name_with_dots_leads_into_an_object(tmp_path):
    content = [
        {"file": {"name": "a.mp4"}, "said": {"en": "A dog"}},
        {"file": {"name": "s/b.mp4"}, "said": {"en": "A cat"}},
    ]
    assert seen(tmp_path / "clips.json", content, path="file.name", caption="said.en") == [DOG, CAT]


def test_msr_vtt_joins_sentences_with_their_videos(tmp_path, capsys):
    content = {
        "info": {"year": "2016"},
        "videos": [
            {"video_id": "video0", "start time": 1.5, "end time": 9, "split": "train", "category": 9},
            {"video_id": "video7", "start time": 0, "end time": 9, "split": "validate", "category": 1},
        ],
        "sentences": [
            {"video_id": "video7", "caption": "a cat ", "sen_id": 0},
            {"video_id": "video0", "caption": "a dog", "sen_id": 1},
            {"video_id": "video0", "caption": "a dog", "sen_id": 2},
        ],
    }
    assert seen(tmp_path / "msrvtt.json", content, path="video_id", split="split") == [
        ("video7", "a cat ", "video7", "validation"),
        ("video0", "a dog", "video0", "train"),
        ("video0~2", "a dog", "video0", "train"),
    ]
    assert capsys.readouterr().err == ""


def test_a_video_that_no_sentence_is_about_is_a_row_without_a_caption(tmp_path):
    content = {"videos": [{"id": 3, "split": "train"}], "sentences": [{"video_id": 4, "caption": "a dog"}]}
    rows = seen(tmp_path / "msrvtt.json", content, path="video_id", split="split")
    assert rows == [("4", "a dog", "4", "all"), ("3", "", "3", "train")]


def test_a_folder_holds_captions_or_a_file_per_split_or_one(tmp_path):
    rows = [{"path": "a.mp4", "caption": "A dog"}]
    seen(tmp_path / "one" / "any.json", rows)
    assert seen(tmp_path / "one") == [DOG]
    seen(tmp_path / "two" / "train.json", rows)
    seen(tmp_path / "two" / "validate.json", [{"path": "s/b.mp4", "caption": "A cat"}])
    assert [row[3] for row in seen(tmp_path / "two")] == ["train", "validation"]
    seen(tmp_path / "one" / "captions.json", {"s/b.mp4": "A cat"})
    assert seen(tmp_path / "one") == [CAT]


def test_segments_that_nothing_names_are_warned_of(tmp_path, capsys):
    content = {"v_x": {"duration": 9.5, "timestamps": [[0, 3.5], [2, 9.6]], "sentences": ["A dog", " It runs"]}}
    assert len(seen(tmp_path / "val_1.json", content, caption="sentences")) == 2
    told = capsys.readouterr().err
    assert "val_1.json: the columns timestamps look like parts of videos" in told and "the whole video is taken" in told


def test_bad_input_is_named(tmp_path):
    path = tmp_path / "clips.json"
    with pytest.raises(UserError, match=r"clips\.json: no such JSON file"):
        seen(path)
    with pytest.raises(UserError, match=r"clips\.json: entry 2 is not an object with a row's cells, but 7"):
        seen(path, [{"path": "a", "caption": "x"}, 7])
    with pytest.raises(UserError, match="holds neither a list of objects nor an object with rows, but 3"):
        seen(path, 3)
    with pytest.raises(
        UserError, match=r"has no column 'caption' \(dataset\.columns\.caption\); did you mean 'captions'"
    ):
        seen(path, [{"path": "a", "captions": "x"}])
    with pytest.raises(UserError, match="its columns have different lengths: path 2, caption 1"):
        seen(path, {"path": ["a", "b"], "caption": ["x"]})
    with pytest.raises(UserError, match=r"dataset\.columns\.caption is 2, but the columns of .* have names"):
        seen(path, [{"path": "a", "caption": "x"}], caption=2)
    with pytest.raises(UserError, match="not JSON"):
        path.write_text("[{")
        seen(path)
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(UserError, match=r"holds clips\.json, other\.json; name the file"):
        seen(tmp_path)


def test_a_file_is_read_again_once_it_has_changed(tmp_path):
    path = tmp_path / "x.json"
    for content in ([], [1], {"a": 1}):
        path.write_text(json.dumps(content))
        assert read_content(path) == content
        assert read_content(path) is read_content(path)
    kept = read_content(path)
    forget_content()
    assert read_content(path) is not kept
    path.unlink()
    with pytest.raises(UserError, match="no such file; mend it"):
        read_content(path, "mend it")


def test_a_row_within_another_is_named_by_the_entry_of_the_file(tmp_path):
    path = tmp_path / "clips.json"
    path.write_text(
        json.dumps([{"word": "dog", "of": [{"id": "a"}, {"id": "b"}]}, {"word": "cat", "of": [{"id": "c"}]}])
    )
    rows = read_rows(path, reading("json", path, path="of.id", caption="word"))
    assert [(row.video, row.location[1]) for row in rows] == [("a", "entry 1"), ("b", "entry 1"), ("c", "entry 2")]


@pytest.mark.parametrize("kind", ["json", "auto"])
@pytest.mark.parametrize("above", ["", "\ufeff"])
@pytest.mark.parametrize("count", [1, 2])
def test_json_lines_may_be_one_and_may_begin_with_a_mark(tmp_path, kind, above, count):
    text = above + '{"path": "a.mp4", "caption": "A dog"}\n' * count
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    rows = read_rows(tmp_path / "x.json", reading(kind, tmp_path / "x.json"))
    assert [(row.video, row.label) for row in rows] == [("a.mp4", "A dog")] * count


def test_one_object_with_a_caption_is_one_row_whatever_names_the_video(tmp_path):
    (tmp_path / "x.json").write_text('{"video_id": "a", "caption": "A dog", "views": 3}', encoding="utf-8")
    rows = read_rows(tmp_path / "x.json", reading("auto", tmp_path / "x.json"))
    assert [(row.video, row.label) for row in rows] == [("**/a", "A dog")]


@pytest.mark.parametrize("kind", ["json", "auto"])
def test_lists_under_the_names_of_splits_have_these_splits(tmp_path, kind):
    parts = {
        "version": "1",
        "train": [{"path": "a.mp4", "caption": "A dog"}],
        "val": {"1": {"path": "b.mp4", "caption": "A cat"}},
        "test": [{"path": "c.mp4", "caption": "A cow", "split": "train"}],
    }
    (tmp_path / "x.json").write_text(json.dumps(parts))
    rows = read_rows(tmp_path / "x.json", reading(kind, tmp_path / "x.json"))
    assert [(row.video, row.official_split) for row in rows] == [
        ("a.mp4", "train"),
        ("b.mp4", "validation"),
        ("c.mp4", "train"),
    ]


def test_ids_that_are_lists_are_no_traceback(tmp_path):
    content = {"videos": [{"video_id": ["a"]}], "sentences": [{"video_id": ["a"], "caption": "A dog"}]}
    assert seen(tmp_path / "x.json", content, path="video_id", id="video_id")[0][1] == "A dog"


def test_a_name_leads_through_lists_in_lists(tmp_path):
    queries = [{"text": "a dog", "at": [1, 2]}, {"text": "a cat", "at": [3, 4]}]
    others = [{"queries": queries[:1]}, {"queries": [{"text": "a bird", "at": [5, 6]}]}]
    content = [{"path": "a.mp4", "clips": [{"notes": [{"queries": queries}]}, {"notes": others}]}]
    names = {"caption": "clips.notes.queries.text", "segment": "clips.notes.queries.at"}
    (tmp_path / "a.json").write_text(json.dumps(content))
    rows = read_rows(tmp_path / "a.json", reading("json", tmp_path / "a.json", **names))
    assert [(row.label, tuple(row.segment)) for row in rows] == [
        ("a dog", (1, 2)),
        ("a cat", (3, 4)),
        ("a dog", (1, 2)),
        ("a bird", (5, 6)),
    ]
