"""Mirrored twins, end to end from rows, and the splits they may be in."""

import pytest
from labels import LEFT, RIGHT, UP, read_something, row, rows, write_labels, write_videos
from settings import filtering

from pipeline.corpus.choose import choose_clips
from pipeline.errors import UserError

TO_RIGHT, TO_LEFT = "pushing-something-from-left-to-right", "pushing-something-from-right-to-left"


@pytest.fixture
def choose(tmp_path):
    """Choose from rows that all have a video; twins are added."""

    def chosen(listed, **options):
        read = read_something(write_labels(tmp_path / "labels" / "train.json", listed))
        videos = write_videos(tmp_path / "videos", (r.id for r in read))
        return choose_clips(read, videos, filtering(**{"mirror": "swap", "categories": ["*"], **options}), 2)

    return chosen


def twins_of(choice):
    """(clip, twin) by id, the twin None where there is none."""
    found = {clip.id: clip for clip in choice.clips}
    return [(clip, found.get(f"{clip.id}-mirrored")) for clip in choice.clips if not clip.mirrored]


def test_a_twin_shows_the_same_video_flipped_and_says_so(choose):
    choice = choose([*rows(40), row("77", RIGHT, "a left shoe")], categories=[TO_RIGHT])
    clip, twin = next(pair for pair in twins_of(choice) if pair[0].id == "77")
    assert (twin.id, twin.mirrored, clip.mirrored) == ("77-mirrored", True, False)
    assert twin.caption == "pushing a right shoe from right to left"
    assert (twin.category, twin.template, twin.objects) == (TO_LEFT, LEFT, ("right shoe",))
    assert (twin.video, twin.digest, twin.split) == (clip.video, clip.digest, clip.split)
    assert twin.original == clip.original == "pushing a left shoe from left to right"


def test_one_category_gives_its_reverse_and_a_caption_without_sides_is_kept(choose):
    choice = choose(rows(40), categories=[TO_RIGHT])
    assert {clip.category for clip in choice.clips} == {TO_RIGHT, TO_LEFT}
    assert sum(clip.mirrored for clip in choice.clips) == 20
    up = choose(rows(40, templates=(UP,)))
    assert all(twin.caption == clip.caption and twin.category == clip.category for clip, twin in twins_of(up))


def test_clips_without_a_twin_are_counted_by_reason(choose):
    choice = choose([*rows(40), row("50", UP, "an alarm clock"), row("51", UP, "a cup left behind")])
    assert choice.unmirrored == {"writing": 1, "other_sense": 1}
    assert {clip.id for clip, twin in twins_of(choice) if twin is None} == {"50", "51"}


def test_no_twin_shows_in_training_what_is_held_out_nor_leaves_the_split_of_its_clip(choose):
    words = ("a book", "a mug", "a pen", "a box", "a left shoe", "a right shoe")
    choice = choose(rows(300, words=words), test_pairs=[f"mug/{TO_RIGHT}", f"pen/{TO_LEFT}"], test_words=["left shoe"])
    held = {("mug", TO_RIGHT), ("pen", TO_LEFT)}
    for clip in choice.clips:
        cell = (*clip.objects, clip.category)
        assert (clip.split == "test_words") == (clip.objects == ("left shoe",))
        assert (clip.split == "test_pairs") == (cell in held)
    assert all(twin is None or twin.split == clip.split for clip, twin in twins_of(choice))
    assert choice.unmirrored == {"held_out": sum(twin is None for _, twin in twins_of(choice))}
    assert {clip.objects[0] for clip, twin in twins_of(choice) if twin is None} == {
        "mug",
        "pen",
        "left shoe",
        "right shoe",
    }


def test_an_id_that_is_that_of_a_twin_is_refused(choose):
    with pytest.raises(UserError, match="the id '5-mirrored' is that of a mirrored twin"):
        choose([*rows(40), row("5-mirrored")])


def test_without_swap_there_is_no_twin(choose):
    choice = choose(rows(40), mirror="none")
    assert (len(choice.clips), choice.unmirrored) == (40, {})
