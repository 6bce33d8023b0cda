"""Splits by the hash of the id, held-out words and held-out cells."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from settings import filtering

from pipeline.corpus import Candidate, hash_to_unit
from pipeline.corpus.split import draw_split, hold_out_pairs, list_split_choices, split_clips
from pipeline.errors import UserError
from pipeline.params import ShareParams

SHARES = ShareParams(train=0.8, judge=0.1, val=0.05, test=0.05)


def options(*, pairs=0.0, words=0.0, shares=SHARES):
    return filtering(categories=["*"], shares=shares, test_pairs=pairs, test_words=words)


def clip(number, category="right", *objects, part="all"):
    words = objects or ("book",)
    return Candidate(
        str(number), f"moving a {' and a '.join(words)} {category}", category, category, words, part, "", ""
    )


cells = st.tuples(st.sampled_from("rlud"), st.lists(st.sampled_from("abcdef"), max_size=3))
clip_lists = st.lists(cells, max_size=80).map(lambda drawn: [clip(n, c, *words) for n, (c, words) in enumerate(drawn)])


def test_the_hash_of_a_name_is_what_it_always_was():
    # printf 'split\0001' | sha256sum, the first 16 digits. A change here would reshuffle everyone's splits.
    assert hash_to_unit("split", "1") == pytest.approx(0x73DCB0507149E195 / 2**64)


@pytest.mark.parametrize(
    ("part", "present", "expected"),
    [
        ("all", ["all"], {"train": 0.8, "judge": 0.1, "val": 0.05, "test": 0.05}),
        ("train", ["train"], {"train": 8 / 9, "judge": 1 / 9}),
        ("train", ["train", "validation", "test"], {"train": 8 / 9, "judge": 1 / 9}),
        ("train", ["train", "test"], {"train": 16 / 19, "judge": 2 / 19, "val": 1 / 19}),
        ("validation", ["train", "validation"], {"val": 0.5, "test": 0.5}),
        ("validation", ["train", "validation", "test"], {"val": 1}),
        ("test", ["train", "test"], {"test": 1}),
    ],
)
def test_each_part_is_divided_in_proportion_of_its_shares(part, present, expected):
    among = list_split_choices(set(present))[part]
    counts = Counter(draw_split(str(n), among, SHARES) for n in range(20_000))
    assert set(counts) == set(expected)
    for split, share in expected.items():
        assert counts[split] / 20_000 == pytest.approx(share, abs=0.012)  # four standard deviations of a half


def test_a_share_of_zero_gets_no_clip_and_one_of_one_gets_all():
    shares = ShareParams(train=1.0, judge=0.0, val=0.0, test=0.0)
    assert {draw_split(str(n), list_split_choices({"all"})["all"], shares) for n in range(1000)} == {"train"}


def test_captions_of_one_video_are_in_one_split_whatever_their_ids():
    captions = [clip(n)._replace(video=f"{n // 4}.mp4") for n in range(400)]
    splits, _ = split_clips(captions, options())
    assert all(len(set(splits[start : start + 4])) == 1 for start in range(0, 400, 4))
    assert set(splits) == {"train", "judge", "val", "test"}


def test_a_validation_file_that_no_share_takes_is_refused():
    shares = ShareParams(train=0.9, judge=0.1, val=0.0, test=0.0)
    with pytest.raises(UserError, match=r"val and test are all 0"):
        draw_split("1", ("val", "test"), shares)


def test_clips_with_a_held_out_word_are_in_test_words_whatever_file_they_are_from():
    clips = [
        clip(n, "right", word, part=part)
        for part in ("all", "train", "validation")
        for n, word in enumerate(("mug", "red mug", "mugs", "book"))
    ]
    clips = [c._replace(id=f"{c.official_split}{c.id}") for c in clips]
    splits, _ = split_clips(clips, options(words=["Mug"]))
    held = {c.objects[0] for c, split in zip(clips, splits, strict=True) if split == "test_words"}
    assert held == {"mug", "red mug"}
    assert splits.count("test_words") == 6


def test_several_words_in_a_row_are_held_out_together_and_hyphens_do_not_hide_a_word():
    clips = [
        clip(1, "r", "rubber duck"),
        clip(2, "r", "duck"),
        clip(3, "r", "rubber-duck toy"),
        clip(4, "r", "duck rubber"),
    ]
    splits, _ = split_clips(clips, options(words=["rubber duck"]))
    assert [split == "test_words" for split in splits] == [True, False, True, False]


def test_a_word_in_the_caption_counts_where_the_objects_do_not_hold_it():
    hidden = clip(1, "r", "book")._replace(caption="a mug is being pushed", objects=())
    assert split_clips([hidden, clip(2)], options(words=["mug"]))[0][0] == "test_words"


@pytest.mark.parametrize("word", ["mugg", "?!"])
def test_a_held_out_word_that_no_clip_holds_raises_with_objects_to_choose_from(word):
    with pytest.raises(UserError, match=r"no chosen clip holds '.*'; [\w ]+ objects: .*mug \(2 clips\)"):
        split_clips([clip(1, "r", "mug"), clip(2, "r", "mug")], options(words=[word]))


def test_one_category_has_no_pairs_to_hold_out():
    clips = [clip(n, "right", word) for n, word in enumerate("abcdefgh" * 5)]
    assert hold_out_pairs(clips, {c.id for c in clips}, 1.0) == []


def test_a_full_grid_gives_up_about_the_share_of_its_cells():
    clips = [clip(f"{n}{o}{c}", c, o) for o in map(str, range(40)) for c in "rlud" for n in range(3)]
    held = hold_out_pairs(clips, {c.id for c in clips}, 0.25)
    assert len(held) == pytest.approx(40, abs=4 * (160 * 0.25 * 0.75) ** 0.5)


def test_all_clips_of_a_held_out_cell_and_no_others_are_in_test_pairs():
    clips = [clip(f"{n}{o}{c}", c, o) for o in "abcdefgh" for c in "rlud" for n in range(5)]
    splits, held = split_clips(clips, options(pairs=0.3))
    assert held.pairs
    for c, split in zip(clips, splits, strict=True):
        assert (split == "test_pairs") == ((c.objects[0], c.category) in held.pairs)


@given(clip_lists, st.sampled_from([0.1, 0.5, 1.0]))
@settings(max_examples=150)
def test_both_halves_of_every_tested_pair_stay_in_training(clips, share):
    splits, held_out = split_clips(clips, options(pairs=share))
    trained = [c for c, split in zip(clips, splits, strict=True) if split == "train"]
    for c, split in zip(clips, splits, strict=True):
        held = {(word, c.category) for word in c.objects} & set(held_out.pairs)
        assert (split == "test_pairs") == bool(held)
        if split == "test_pairs":
            assert any(other.category == c.category for other in trained)
            for word in c.objects:
                assert any(word in other.objects and other.category != c.category for other in trained)


@given(clip_lists, st.randoms())
@settings(max_examples=60)
def test_the_order_of_the_rows_does_not_count(clips, random):
    shuffled = random.sample(clips, len(clips))
    splits, held = split_clips(clips, options(pairs=0.5, words=0.3))
    again, held_again = split_clips(shuffled, options(pairs=0.5, words=0.3))
    assert (held.words, held.pairs) == (held_again.words, held_again.pairs)
    assert dict(zip((c.id for c in clips), splits, strict=True)) == dict(
        zip((c.id for c in shuffled), again, strict=True)
    )


@given(clip_lists, st.integers(0, 80))
@settings(max_examples=60)
def test_adding_data_moves_no_clip_but_into_or_out_of_test_pairs(clips, first):
    before, _ = split_clips(clips[:first], options(pairs=0.3))
    after, _ = split_clips(clips, options(pairs=0.3))
    assert all(old == new or "test_pairs" in (old, new) for old, new in zip(before, after[: len(before)], strict=True))


@given(clip_lists, st.integers(0, 80))
@settings(max_examples=60)
def test_without_pairs_adding_data_moves_no_clip(clips, first):
    before, _ = split_clips(clips[:first], options())
    assert split_clips(clips, options())[0][: len(before)] == before
