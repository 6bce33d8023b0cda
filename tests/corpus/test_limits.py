"""Which clips stay by their objects, and by how many there are."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from settings import filtering

from pipeline.corpus import Candidate
from pipeline.corpus.choose import choose_by_objects, limit_clips
from pipeline.errors import UserError


def clip(number, *objects):
    return Candidate(str(number), f"moving {' and '.join(objects)}", "moving", "Moving", objects, "all", "", "")


def reasons(sifted):
    kept, drops = sifted
    return [c.id for c in kept], {drop.id: (drop.reason, drop.detail) for drop in drops}


CLIPS = [
    clip(1, "mug"),
    clip(2, "t-shirt"),
    clip(3, "rubber duck"),
    clip(4, "mug", "red box"),
    clip(5),
    clip(6, "cup's"),
]
clip_lists = st.lists(st.lists(st.sampled_from("abcdef"), max_size=3), max_size=60).map(
    lambda drawn: [clip(number, *words) for number, words in enumerate(drawn)]
)


@pytest.mark.parametrize(
    ("form", "kept"),
    [("toy", ["1", "5", "6"]), ("simple", ["1", "2", "5", "6"]), ("casual", ["1", "2", "3", "4", "5", "6"])],
)
def test_every_object_of_a_clip_must_have_the_form(form, kept):
    stay, gone = reasons(choose_by_objects(CLIPS, filtering(objects=form)))
    assert stay == kept
    assert {reason for reason, _ in gone.values()} <= {"object_form"}
    if form == "toy":
        assert gone["4"] == ("object_form", "red box")


def test_one_included_object_is_enough_and_one_excluded_object_too_much():
    stay, gone = reasons(choose_by_objects(CLIPS, filtering(include_objects=["a Mug", "*duck"])))
    assert stay == ["1", "3", "4"]
    assert (gone["2"], gone["5"]) == (("other_object", "t-shirt"), ("other_object", "no object"))
    stay, gone = reasons(choose_by_objects(CLIPS, filtering(exclude_objects=["*box"])))
    assert stay == ["1", "2", "3", "5", "6"]
    assert gone == {"4": ("excluded_object", "red box")}


def test_a_clip_goes_for_the_first_rule_that_it_breaks():
    options = filtering(objects="toy", include_objects=["mug"], exclude_objects=["mug", "t-shirt"])
    _, gone = reasons(choose_by_objects(CLIPS, options))
    assert {name: reason for name, (reason, _) in gone.items()} == {
        "1": "excluded_object",
        "2": "object_form",
        "3": "object_form",
        "4": "object_form",
        "5": "other_object",
        "6": "other_object",
    }


@pytest.mark.parametrize("key", ["include_objects", "exclude_objects"])
def test_a_name_that_no_clip_shows_raises_with_the_nearest(key):
    with pytest.raises(
        UserError, match=rf"filter\.{key}: no chosen clip shows 'mugg'; nearest objects: mug \(2 clips\)"
    ):
        choose_by_objects(CLIPS, filtering(**{key: ["mugg"]}))


@given(clip_lists, st.integers(1, 6))
@settings(max_examples=25)
def test_every_object_left_has_enough_clips_and_no_clip_of_common_objects_goes(clips, least):
    kept, drops = limit_clips(clips, filtering(min_object_clips=least))
    assert all(count >= least for count in Counter(word for c in kept for word in set(c.objects)).values())
    assert {drop.reason for drop in drops} <= {"few_clips_of_object"}
    common = {word for word, n in Counter(w for c in kept for w in set(c.objects)).items() if n >= least}
    assert [c for c in clips if set(c.objects) <= common] == kept


@given(clip_lists, st.integers(1, 5), st.integers(1, 20))
@settings(max_examples=25)
def test_no_object_and_not_the_whole_has_more_clips_than_the_limits(clips, most, in_all):
    kept, drops = limit_clips(clips, filtering(max_object_clips=most, max_clips=in_all))
    assert len(kept) <= in_all
    assert all(count <= most for count in Counter(word for c in kept for word in set(c.objects)).values())
    assert len(kept) + len(drops) == len(clips)
    assert [c for c in clips if c in kept] == kept


@given(st.integers(0, 60), st.integers(1, 20))
@settings(max_examples=25)
def test_adding_clips_displaces_no_more_clips_than_were_added(first, most):
    clips = [clip(number, "mug") for number in range(60)]
    for key in ("max_clips", "max_object_clips"):
        before = {c.id for c in limit_clips(clips[:first], filtering(**{key: most}))[0]}
        after = {c.id for c in limit_clips(clips, filtering(**{key: most}))[0]}
        assert before & {c.id for c in clips[:first]} >= after & {c.id for c in clips[:first]}
        assert len(before - after) <= 60 - first


def test_the_minimum_comes_before_the_limit_per_object_and_that_before_the_one_in_all():
    clips = [clip(n, "mug") for n in range(9)] + [clip(n, "cup") for n in range(10, 14)] + [clip(20, "pen")]
    kept, drops = limit_clips(clips, filtering(min_object_clips=3, max_object_clips=4, max_clips=6))
    counts = Counter(drop.reason for drop in drops)
    assert counts == {"few_clips_of_object": 1, "beyond_object_limit": 5, "beyond_clip_limit": 2}
    assert len(kept) == 6
