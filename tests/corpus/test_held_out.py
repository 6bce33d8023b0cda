"""What training must never see, over whole choices: held-out words, held-out cells, and videos of other splits."""

import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from labels import LEFT, RIGHT, UP, write_videos
from settings import filtering

from pipeline.corpus import LabelRow
from pipeline.corpus.captions import Phrases
from pipeline.corpus.choose import choose_clips
from pipeline.errors import UserError
from pipeline.params import ShareParams
from pipeline.records import slugify

TRAIN_ONLY = ShareParams(train=1.0, judge=0.0, val=0.0, test=0.0)
TWO_SPLITS = ShareParams(train=0.9, judge=0.0, val=0.1, test=0.0)
MANY_SPLITS = ShareParams(train=0.7, judge=0.1, val=0.1, test=0.1)
TO_RIGHT, TO_LEFT = slugify(RIGHT), slugify(LEFT)
TEMPLATES = (RIGHT, LEFT, UP, "Putting [something] left of [something]", "Putting [something] right of [something]")
WORDS = ("mug", "red mug", "book", "left shoe", "right shoe", "alarm clock", "t-shirt", "&")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp("videos"), map(str, range(12)))


def captioned(number, template, *words, video="", part="all"):
    """A row whose caption is its template filled; without a video the id names it."""
    label = template
    for word in words:
        label = label.replace("[something]", f"a {word}", 1)
    return LabelRow(
        str(number),
        label.lower(),
        template,
        tuple(f"a {w}" for w in words),
        (),
        part,
        ("x.json", f"entry {number}"),
        video,
    )


def choose(listed, videos, **options):
    options = {"categories": ["*"], "shares": TRAIN_ONLY, "test_pairs": 0.0, "test_words": [], **options}
    return choose_clips(listed, videos, filtering(**options), 1)


def dataset(seed):
    """Some 40 captions of 12 videos, whose paths are written with and without their ending."""
    draw = random.Random(seed)
    return [
        captioned(
            number,
            template := draw.choice(TEMPLATES),
            *draw.choices(WORDS, k=template.count("[")),
            video=draw.choice(["{}", "{}.webm"]).format(draw.randrange(12)),
            part=draw.choices(["train", "validation"], [7, 1])[0],
        )
        for number in range(draw.randint(12, 40))
    ]


choices = st.fixed_dictionaries(
    {
        "mirror": st.sampled_from(["none", "swap"]),
        "shares": st.sampled_from([TWO_SPLITS, MANY_SPLITS]),
        "test_pairs": st.sampled_from([0.0, 0.3, 1.0, ["mug/pushing-*"], ["*shoe/*right"], ["book/*right", "mug/*up"]]),
        "test_words": st.sampled_from([[], 0.3, 1.0, ["mug"], ["left shoe"]]),
        "max_object_clips": st.sampled_from([None, 3]),
    }
)


@given(st.integers(0, 2**32).map(dataset), choices)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_training_never_sees_a_held_out_word_or_cell_nor_a_video_of_another_split(videos, listed, options):
    try:
        choice = choose(listed, videos, **options)
    except UserError:
        assume(False)
    words, cells = Phrases(choice.words), set(choice.pairs)
    trained = [clip for clip in choice.clips if clip.split == "train"]
    split_of_video = {}
    for clip in choice.clips:
        says = bool(words.find(clip.caption, clip.objects))
        shows = any((word, clip.category) in cells for word in clip.objects)
        assert (clip.split == "test_words") == says
        assert (clip.split == "test_pairs") == (shows and not says)
        assert split_of_video.setdefault(clip.video, clip.split) == clip.split  # a twin shows the video of its clip
    for word, category in choice.pairs:
        assert any(clip.category == category for clip in trained)
        assert any(word in clip.objects and clip.category != category for clip in trained)
    assert len([clip for clip in choice.clips if not clip.mirrored]) + len(choice.drops) == len(listed)


def grid():
    """A mug, a book and a cup, each pushed both ways and moved up."""
    cells = [(template, word) for template in (RIGHT, LEFT, UP) for word in ("mug", "book", "cup")]
    return [captioned(number, *cell) for number, cell in enumerate(cells)]


def apart(listed):
    """The same rows, each with a video of its own."""
    return [row._replace(video=f"{number}") for number, row in enumerate(listed)]


@pytest.mark.parametrize(
    ("named", "cells"),
    [
        (["a Mug/Pushing [something] from left to right"], [("mug", TO_RIGHT)]),
        (["mug/pushing-*"], [("mug", TO_RIGHT), ("mug", TO_LEFT)]),
        (["?u*/*left"], [("cup", TO_LEFT), ("mug", TO_LEFT)]),
        (["?up/*up", "cup/*up"], [("cup", "moving-something-up")]),
    ],
)
def test_named_cells_may_be_globs_over_objects_and_categories(videos, named, cells):
    assert choose(apart(grid()), videos, test_pairs=named).pairs == sorted(cells)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (["mug"], "'mug' is not of the form object/category"),
        (["mug/"], "'mug/' is not of the form object/category"),
        (["mugg/*up"], r"no chosen clip shows 'mugg'; nearest objects: mug \(3 clips\)"),
        (
            ["mug/moving-something-pu"],
            r"no category is called 'moving-something-pu'; the nearest are: moving-something-up",
        ),
        (["pen/*left"], f"no chosen clip shows 'pen/\\*left'; there are clips of 'pen' in {TO_RIGHT}"),
        (["pen/*"], "training would see no clip of 'pen'"),
        (["*/*up"], "training would see no clip of 'moving-something-up'"),
    ],
)
def test_named_cells_that_cannot_be_held_out_are_refused_with_a_way_out(videos, named, message):
    listed = [*apart(grid()), captioned(10, RIGHT, "pen", video="10")]
    with pytest.raises(UserError, match=message):
        choose(listed, videos, test_pairs=named)


def test_a_share_of_the_words_is_held_out_but_never_all_of_a_category(videos):
    alone = [captioned(n, (RIGHT, LEFT)[n % 2], f"thing{n}") for n in range(12)]
    choice = choose(alone, videos, test_words=0.5)
    assert 0 < len(choice.words) < 12
    assert {clip.objects[0] for clip in choice.clips if clip.split == "test_words"} == set(choice.words)
    everything = choose(alone, videos, test_words=1.0)
    assert {clip.category for clip in everything.clips if clip.split == "train"} == {TO_RIGHT, TO_LEFT}


def test_an_object_without_a_letter_is_never_a_held_out_word(videos):
    listed = [captioned(n, RIGHT, word, video="") for n, word in enumerate(["&", "mug", "&", "cup"])]
    assert "&" not in choose(listed, videos, test_words=1.0).words


def test_another_caption_of_a_held_out_video_goes_with_the_name_of_its_split(videos):
    listed = [*apart(grid()), captioned(20, UP, "book", video="0.webm")]  # video 0: the mug pushed to the right
    choice = choose(listed, videos, test_pairs=[f"mug/{TO_RIGHT}"])
    (drop,) = choice.drops
    assert (drop.id, drop.reason, drop.detail) == ("20", "other_split", "0.webm is in test_pairs")


def test_captions_that_leave_with_a_held_out_video_do_not_count_as_seen(videos):
    captions = [
        captioned(n, t, w) for n, (t, w) in enumerate([(RIGHT, "mug"), (UP, "mug"), (RIGHT, "cup"), (UP, "cup")])
    ]
    one_video = [row._replace(video="0" if "mug" in row.label else row.id) for row in captions]
    with pytest.raises(UserError, match="training would see no clip of 'mug'"):
        choose(one_video, videos, test_pairs=[f"mug/{TO_RIGHT}"])
    assert choose(apart(captions), videos, test_pairs=[f"mug/{TO_RIGHT}"]).pairs == [("mug", TO_RIGHT)]
    assert all(word != "mug" for word, _ in choose(one_video, videos, test_pairs=1.0).pairs)


def test_a_clip_goes_for_the_first_of_all_rules_that_it_breaks(videos):
    listed = [
        captioned("../x", "Closing [something]", "hand", video="absent"),
        captioned("category", "Closing [something]", "red hand", video="absent"),
        captioned("label", UP, "red hand", video="absent")._replace(label="?!"),
        captioned("form", UP, "red hand", video="absent"),
        captioned("included", UP, "hand", video="absent"),
        captioned("excluded", UP, "tube", video="absent"),
        captioned("video", UP, "pen", video="absent"),
        *(captioned(f"rare{n}", UP, "cup", video="0") for n in range(2)),
        *(captioned(f"many{n}", UP, "pen", video="1") for n in range(9)),
        *(captioned(f"some{n}", UP, "mug", video="2") for n in range(3)),
        captioned("held", RIGHT, "mug", video="3"),
    ]
    choice = choose(
        listed,
        videos,
        categories=["moving-*", "pushing-*"],
        objects="toy",
        include_objects=["pen", "cup", "mug", "tube"],
        exclude_objects=["tube"],
        min_object_clips=3,
        max_object_clips=4,
        max_clips=7,
    )
    reasons = {drop.id: drop.reason for drop in choice.drops if not drop.id.startswith(("many", "some", "held"))}
    assert reasons == {
        "'../x'": "unusable_id",
        "category": "other_category",
        "label": "unusable_label",
        "form": "object_form",
        "included": "other_object",
        "excluded": "excluded_object",
        "video": "missing_video",
        "rare0": "few_clips_of_object",
        "rare1": "few_clips_of_object",
    }
    counts = Counter(drop.reason for drop in choice.drops)
    assert (counts["beyond_object_limit"], counts["beyond_clip_limit"], len(choice.clips)) == (5, 1, 7)


def test_a_held_out_word_is_not_found_in_one_that_differs_by_a_mark():
    phrases = Phrases(["\u0e1c\u0e32", "\u0915\u093f"])
    assert phrases.find("\u0e1c\u0e49\u0e32 \u0915\u0940", ()) == set()
    assert phrases.find("\u0e1c\u0e32, x", ["\u0915\u093f"]) == {"\u0e1c\u0e32", "\u0915\u093f"}
