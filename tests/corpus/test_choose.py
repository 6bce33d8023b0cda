"""Rows and videos -> chosen clips."""

import hashlib

import pytest
from labels import LEFT, RIGHT, UP, read_something, row, rows, write_labels, write_videos
from settings import filtering

from pipeline.corpus.choose import choose_clips
from pipeline.errors import UserError
from pipeline.params import ShareParams

TRAIN_ONLY = ShareParams(train=1.0, judge=0.0, val=0.0, test=0.0)


@pytest.fixture
def choose(tmp_path):
    """Choose from rows whose videos are there but for those in `without`."""

    def chosen(listed, *, categories=("pushing-*",), without=(), videos=None):
        options = filtering(categories=list(categories), shares=TRAIN_ONLY)
        read = read_something(write_labels(tmp_path / "labels" / "train.json", listed))
        plain = [r.id for r in read if r.id.isalnum() and r.id not in without]
        return choose_clips(read, videos or write_videos(tmp_path / "videos", plain), options, 2)

    return chosen


def test_a_chosen_clip_carries_what_later_stages_need(choose):
    (clip,) = choose([row("5", RIGHT, "a rubber duck")]).clips
    assert (clip.id, clip.caption) == ("5", "pushing a rubber duck from left to right")
    assert clip.original == clip.caption
    assert (clip.category, clip.template) == ("pushing-something-from-left-to-right", RIGHT)
    assert (clip.objects, clip.split, clip.video) == (("rubber duck",), "train", "5.webm")
    assert clip.digest == hashlib.sha256(b"video 5").hexdigest()


def test_the_caption_as_it_stood_is_kept_beside_the_cleaned_one(choose):
    typed = 'Pushing \u0430 bo\x7fx,  \\"the\u200bred\ud800 one\\" from left to right'
    (clip,) = choose([{**row("5"), "label": typed}]).clips
    assert clip.caption == 'Pushing a bo x, "thered one" from left to right'
    assert clip.original == typed.replace("\ud800", "\\ud800")  # a lone surrogate cannot be written


def test_every_row_is_kept_or_dropped_with_its_reason(choose):
    listed = rows(6, templates=(RIGHT, LEFT, UP))
    listed += [row("../../etc/passwd"), row(""), row(".x"), row("nul\0")]
    listed += [{**row("20"), "label": ""}, {**row("21"), "label": " \\ \x00"}, {**row("22"), "template": "[]"}]
    listed += [{**row("23"), "label": None}, {**row("24"), "label": "?!"}]
    choice = choose(listed, without=["1"])
    assert [clip.id for clip in choice.clips] == ["2", "4", "5"]
    dropped = {drop.id: (drop.reason, drop.detail) for drop in choice.drops}
    assert len(choice.clips) + len(choice.drops) == len(listed)
    assert dropped["1"][0] == "missing_video"
    assert dropped["3"] == dropped["6"] == ("other_category", "moving-something-up")
    assert [dropped[str(n)][0] for n in range(20, 25)] == ["unusable_label"] * 5
    assert dropped["'../../etc/passwd'"] == ("unusable_id", "entry 7 of train.json")
    assert sum(drop.reason == "unusable_id" for drop in choice.drops) == 4


def test_clips_and_drops_are_sorted_by_id_whatever_the_order_of_the_file(choose):
    listed = rows(30, templates=(RIGHT, UP))
    forward, backward = choose(listed), choose(listed[::-1])
    assert forward == backward
    assert [clip.id for clip in forward.clips] == sorted(clip.id for clip in forward.clips)


def test_both_ways_to_write_a_template_are_one_category(choose):
    choice = choose([row("1"), {**row("2"), "template": "Pushing something from left to right"}])
    assert {clip.category for clip in choice.clips} == {"pushing-something-from-left-to-right"}
    assert [clip.objects for clip in choice.clips] == [("book",), ("book",)]


@pytest.mark.parametrize("second", [row("7", LEFT, "a mug"), row("7"), row(7)])
def test_an_id_that_stands_twice_is_named_with_its_places(choose, second):
    with pytest.raises(UserError, match=r"id '7' occurs twice, in entry 2 of train\.json and entry 3 of train\.json"):
        choose([row("1"), row("7"), second])


def test_an_id_that_stands_in_both_files_is_named_with_both(tmp_path):
    write_labels(tmp_path / "train.json", [row("7")])
    write_labels(tmp_path / "validation.json", [row("7")])
    options = filtering(categories=["*"], shares=TRAIN_ONLY)
    with pytest.raises(UserError, match=r"entry 1 of train\.json and entry 1 of validation\.json"):
        choose_clips(read_something(tmp_path), tmp_path, options, 1)


def test_no_clip_left_says_why_with_counts(choose, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="none of 4 rows is left: 4 missing_video; see"):
        choose(rows(4), videos=empty)
    with pytest.raises(UserError, match="none of 2 rows is left: 1 other_category, 1 unusable_label"):
        choose([{**row("1"), "label": ""}, row("2", UP)])


def test_labels_without_rows_are_named_whatever_the_categories(choose):
    for categories in (["*"], ["pushing-*"]):
        with pytest.raises(UserError, match=r"the labels hold no rows; see dataset\.labels"):
            choose([], categories=categories)


def test_only_unusable_rows_are_said_to_have_no_category(choose):
    with pytest.raises(UserError, match="none, since no row has a usable template"):
        choose([row("../x", "?")])
