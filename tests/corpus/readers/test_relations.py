"""VidOR and VidVRD: imitations with the oddities of the real files."""

import pytest
from set_labels import section

from pipeline.corpus.readers import read_rows
from pipeline.corpus.readers.relations import LAST_WORDS
from pipeline.errors import UserError

DOG_BITES = {"subject_tid": 0, "object_tid": 3, "predicate": "bite", "begin_fid": 0, "end_fid": 45}
MAN_WALKS = {"subject_tid": 5, "object_tid": 0, "predicate": "walk_left", "begin_fid": 30, "end_fid": 60}


def describe(name, *relations, **facts):
    objects = [(0, "dog"), (3, "ball/sports_ball"), (5, "adult")]  # numbers have gaps
    return {
        "video_id": name,
        "fps": 30,
        "frame_count": 90,
        "subject/objects": [{"tid": tid, "category": category} for tid, category in objects],
        "trajectories": [[{"tid": 0, "bbox": {}, "generated": 0, "tracker": "none"}]],
        "relation_instances": list(relations),
        **facts,
    }


def read(labels, kind="auto"):
    rows = read_rows(labels, section(kind, labels))
    assert kind != "auto" or rows == read_rows(labels, section("vidor", labels))
    return rows


def test_a_relation_is_a_part_with_two_objects(place):
    name = "ILSVRC2015_train_00010001"
    labels = place(
        {f"train/{name}.json": describe(name, DOG_BITES, MAN_WALKS), "test/x.json": describe("x", DOG_BITES)}
    )
    first, second, third = read(labels)
    assert (first.official_split, first.video, first.label) == ("test", "**/x", "dog bite ball")
    assert (second.label, second.template) == ("dog bite ball", "[something] bite [something]")
    assert (second.objects, tuple(second.segment), second.video) == (("dog", "ball"), (0.0, 1.5), f"**/{name}")
    assert (third.label, tuple(third.segment)) == ("adult walk to the left of dog", (1.0, 2.0))
    assert (third.id, third.official_split) == (f"{name}@00001.000-00002.000", "train")
    assert third.location == (f"train/{name}.json", "entry 2")


def test_a_path_in_the_file_goes_before_its_id_and_one_file_has_no_split(place):
    content = describe("24", DOG_BITES, DOG_BITES, version="VERSION 1.0", video_path="0001/24.mp4")
    labels = place({"annotation/training/0001/24.json": content})
    rows = read(labels / "annotation")
    assert [(row.video, row.official_split) for row in rows] == [("**/0001/24.mp4", "train")] * 2
    assert [row.id for row in rows] == ["0001+24.mp4@00000.000-00001.500", "0001+24.mp4@00000.000-00001.500~2"]
    assert {row.official_split for row in read(labels / "annotation/training/0001/24.json")} == {"all"}


def test_a_video_without_relations_is_counted_and_faults_keep_their_rows(place, capsys):
    stray, backwards = {**DOG_BITES, "object_tid": 9}, {**DOG_BITES, "end_fid": 0}
    files = {
        "a.json": describe("a"),
        "b.json": describe("b", stray, backwards),
        "c.json": describe("c", MAN_WALKS, fps=0),
    }
    rows = read(place(files))
    assert [(row.label, row.segment_fault) for row in rows] == [
        ("", ""),
        ("dog bite ball", "from 0 to 0 s is empty"),
        ("adult walk to the left of dog", "begin_fid 30 to end_fid 60 at 0 per second is not a range of frames"),
    ]
    assert "1 of 3 files hold no relation, such as" in capsys.readouterr().err


def test_relations_of_objects_that_are_not_listed_have_no_caption(place):
    content = describe("a", DOG_BITES)
    del content["subject/objects"]
    assert [row.label for row in read(place({"a.json": content}), "vidor")] == [""]


@pytest.mark.parametrize("name", sorted(LAST_WORDS))
def test_the_last_word_of_a_predicate_is_written_out(place, name):
    row, other = read(
        place({"a.json": describe("a", *({**DOG_BITES, "predicate": text} for text in (name, f"lie_{name}")))})
    )
    assert (row.label, other.label) == (f"dog {LAST_WORDS[name]} ball", f"dog lie {LAST_WORDS[name]} ball")


@pytest.mark.parametrize("content", [[], {"relation_instances": 1}, {"a": 1}])
def test_another_file_is_refused_by_its_name(place, content):
    labels = place({"a.json": describe("a", DOG_BITES), "b.json": content})
    with pytest.raises(UserError, match=r"b\.json: holds no list relation_instances, as files of VidOR and VidVRD do"):
        read(labels, "vidor")


def test_labels_without_a_file_are_refused(place):
    labels = place({"readme.md": ""})
    with pytest.raises(UserError, match="holds no JSON with relation_instances of a video"):
        read(labels, "vidor")
