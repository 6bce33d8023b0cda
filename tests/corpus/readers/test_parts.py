"""Lists in the cells of one row -> parts of its video."""

import json

import pytest
from settings import TREE, reading

from pipeline.corpus import WHOLE, Segment
from pipeline.corpus.readers import read_rows
from pipeline.corpus.segments import Part, list_parts
from pipeline.params import DatasetParams


def parts(row, columns=None, **segments):
    named = {**TREE["dataset"]["columns"], **(columns or {})}
    tree = {**TREE["dataset"], "columns": named, "segments": {**TREE["dataset"]["segments"], **segments}}
    return list_parts(row, DatasetParams(**tree))


TIMES = {"start": "start", "end": "end"}
SEGMENT = {"segment": "segment"}


def test_cells_without_lists_are_one_part():
    assert parts({"caption": "a dog"}) == [Part("a dog", None, WHOLE, "")]
    assert parts({"caption": "a dog", "start": "1", "end": "2.5"}, TIMES) == [Part("a dog", None, Segment(1, 2.5), "")]


@pytest.mark.parametrize(
    "texts", [["a dog", "it's a cat"], ['a "dog"', "a cat"], ["ein Hündchen"], ["a", "b, c", "[d]"], ["a\nb", "c"]]
)
@pytest.mark.parametrize("spell", [json.dumps, repr])
def test_captions_listed_in_a_text_are_captions(spell, texts):
    assert parts({"caption": spell(texts)}) == [Part(text, None, WHOLE, "") for text in texts]


@pytest.mark.parametrize("text", ["[laughs] a dog", "[a dog]", "['a' 'b']", '["a"', "['a', 1]", "'a', 'b'"])
def test_captions_in_brackets_stay_captions(text):
    assert parts({"caption": text}) == [Part(text, None, WHOLE, "")]


@pytest.mark.parametrize("spell", [lambda cell: cell, json.dumps, repr])
def test_lists_go_together_by_their_places(spell):
    row = {"caption": spell(["sits", "runs"]), "category": spell(["sit", "run"])}
    wanted = [Part("sits", "sit", Segment(0, 1), ""), Part("runs", "run", Segment(2, 4), "")]
    assert parts({**row, "start": spell([0, 2]), "end": spell([1, 4])}, TIMES) == wanted
    assert parts({**row, "segment": spell([[0, 1], [2, 4]])}, SEGMENT) == wanted


def test_one_caption_goes_with_all_parts_and_one_part_with_all_captions():
    assert parts({"caption": "a dog", "segment": [[0, 1], [2, 4]]}, SEGMENT) == [
        Part("a dog", None, Segment(0, 1), ""),
        Part("a dog", None, Segment(2, 4), ""),
    ]
    assert parts({"caption": ["a dog", "it runs"], "segment": [0, 1]}, SEGMENT) == [
        Part("a dog", None, Segment(0, 1), ""),
        Part("it runs", None, Segment(0, 1), ""),
    ]


@pytest.mark.parametrize(
    ("row", "columns", "fault"),
    [
        ({"caption": [], "segment": []}, SEGMENT, "its list of parts is empty"),
        ({"caption": [], "start": [], "end": []}, TIMES, "its list of parts is empty"),
        ({"caption": ["a", "b"], "segment": [[0, 1]] * 3}, SEGMENT, "3 parts of the video, but 2 captions"),
        ({"caption": "a", "start": [0, 1], "end": [1, 2, 3]}, TIMES, "2 starts, but 3 ends"),
        ({"caption": ["a"] * 3, "category": ["x", "y"]}, {}, "2 categories, but 3 captions"),
    ],
)
def test_lists_that_do_not_go_together_say_so(row, columns, fault):
    assert [part.fault for part in parts(row, columns)] == [fault]


def test_a_point_in_time_is_what_lies_around_it():
    assert parts({"caption": "stands", "start": "0902"}, {"start": 2}, around=0.75) == [
        Part("stands", None, Segment(901.25, 902.75), "")
    ]
    assert parts({"caption": "stands", "start": 0.5}, {"start": 2}, around=0.75)[0].segment == Segment(0, 1.25)
    assert (
        parts({"caption": "stands", "start": ""}, {"start": 2}, around=0.75)[0].fault == "the point in time is missing"
    )
    with pytest.raises(ValueError, match=r"segments\.around is about points in time"):
        parts({}, TIMES, around=0.75)


def test_a_name_with_dots_leads_through_the_lists_of_a_json_object(tmp_path):
    path = tmp_path / "anno.json"
    videos = {
        "a": {"subset": "training", "acts": [{"at": ["1.5", "2"], "is": "Run"}, {"at": [3, 9], "is": "Sit"}]},
        "b": {"subset": "testing", "acts": []},
    }
    path.write_text(json.dumps({"version": "1", "database": videos, "taxonomy": [{"node": 1}]}))
    columns = {"path": "**/v_{id}", "caption": "acts.is", "category": "acts.is", "segment": "acts.at"}
    rows = read_rows(path, reading("json", path, **columns, split="subset"))
    assert [(row.id, row.video, row.label, row.template, row.official_split, row.segment_fault) for row in rows] == [
        ("v_a@00001.500-00002.000", "**/v_a", "Run", "Run", "train", ""),
        ("v_a@00003.000-00009.000", "**/v_a", "Sit", "Sit", "train", ""),
        ("v_b", "**/v_b", "", "", "test", "its list of parts is empty"),
    ]
    path.write_text(json.dumps({"a": {"acts": [["c7", 0, 1.5], ["c8", 2.0, 3]]}}))
    columns = {"path": "id", "caption": "acts.0", "start": "acts.1", "end": "acts.2"}
    rows = read_rows(path, reading("json", path, **columns))
    assert [(row.video, row.label, row.segment) for row in rows] == [
        ("a", "c7", Segment(0, 1.5)),
        ("a", "c8", Segment(2, 3)),
    ]
