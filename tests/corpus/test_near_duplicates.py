"""Near-duplicates before the split: grouped, or dropped but for the first; equal files need no decoding."""

import numpy as np
import pytest

from pipeline.corpus import Candidate, Segment
from pipeline.corpus.groups import resolve_duplicates
from pipeline.corpus.video_names import NoVideo
from pipeline.duplicates import LENGTH, encode_signature
from pipeline.errors import UserError
from pipeline.records import Drop, Signature

RNG = np.random.default_rng(0)
PICTURES = {name: RNG.integers(0, 256, LENGTH) for name in "abcdefgh"}
WHOLE = Segment(0.0, float("inf"))


def candidate(name, official="all", video=None, **values):
    texts = ("moving a mug", "moving", "moving", ())
    return Candidate(name, *texts, official, video or f"{name}.mp4", "moving a mug", **values)


def settle(clips, choice, shows, digests=None, broken=()):
    """`shows` names what each video shows; those of `broken` cannot be decoded. The ids that were decoded come last."""
    asked = []

    def sign(wanted):
        asked.extend(clip.id for clip in wanted)
        return [
            Signature(clip.id, encode_signature((PICTURES[shows[clip.id]] // 2 + len(asked) % 2).astype(np.uint8)))
            for clip in wanted
            if clip.id not in broken
        ]

    def digest(files):
        return [(digests or {}).get(file, file) for file in files]

    return *resolve_duplicates(clips, {clip.id: clip.video for clip in clips}, digest, sign, choice), asked


CLIPS = [candidate(name) for name in "dcbae"]
SHOWS = dict(zip("dcbae", "abaca", strict=True))  # d, b and e show the same


def test_nothing_is_decoded_unless_it_is_asked_for():
    assert settle(CLIPS, "keep", SHOWS) == (CLIPS, [], [])


def test_all_but_the_first_are_dropped():
    kept, drops, asked = settle(CLIPS, "drop", SHOWS)
    assert [clip.id for clip in kept] == ["c", "b", "a"]
    assert drops == [Drop("d", "near_duplicate", "of b"), Drop("e", "near_duplicate", "of b")]
    assert asked == sorted(asked)


def test_near_duplicates_are_one_group_with_all_that_is_in_their_groups():
    clips = [candidate("a", group="2"), candidate("b", group="1"), candidate("c", group="2"), candidate("d")]
    clips += [candidate("e", group="1"), candidate("f"), candidate("g", group="2")]
    kept, drops, _ = settle(clips, "group", dict(zip("abcdefg", "abcbefg", strict=True)))
    assert [clip.group for clip in kept] == ["2", "1", "2", "1", "1", "", "2"]
    assert drops == []


def test_files_of_equal_bytes_are_decoded_once():
    digests = {"a.mp4": "one", "b.mp4": "one"}
    clips = [candidate("a"), candidate("b"), candidate("c")]
    kept, drops, asked = settle(clips, "drop", {"a": "a", "c": "b"}, digests)
    assert (asked, [clip.id for clip in kept], [drop.id for drop in drops]) == (["a", "c"], ["a", "c"], ["b"])


def test_several_captions_of_one_video_stay_and_another_part_of_it_that_looks_alike_goes():
    part = Segment(0.0, 1.0)
    clips = [candidate("a", video="v.mp4"), candidate("b", video="v.mp4"), candidate("c", video="v.mp4", segment=part)]
    kept, drops, asked = settle(clips, "drop", {"a": "a", "c": "a"})
    assert (asked, [clip.id for clip in kept], [drop.id for drop in drops]) == (["a", "c"], ["a", "b"], ["c"])


@pytest.mark.parametrize("choice", ["group", "drop"])
def test_clips_that_cannot_be_read_or_decoded_stay_as_they_are(choice):
    clips = [candidate("a"), candidate("b"), candidate("c")]
    digests = {"c.mp4": NoVideo("unusable_video", "gone")}
    assert settle(clips, choice, dict.fromkeys("abc", "a"), digests, broken="ab") == (clips, [], ["a", "b"])
    assert settle([], choice, {}) == ([], [], [])


def test_groups_that_official_splits_part_are_refused_and_may_be_dropped():
    clips = [candidate("a", "train"), candidate("b", "test")]
    with pytest.raises(UserError, match=r"two official splits, a in train and b in test; set it to drop"):
        settle(clips, "group", {"a": "a", "b": "a"})
    assert [clip.id for clip in settle(clips, "drop", {"a": "a", "b": "a"})[0]] == ["a"]
