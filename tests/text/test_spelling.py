"""Misspelt words."""

import pytest
from captions import object_tokens, pushed
from made import make_clip
from settings import tokenizing

from pipeline.records import Correction
from pipeline.text.captions import find_corrections, tokenize_clips
from pipeline.text.tokenizer import KEPT

TRAINED = {"bottle": 100, "keychain": 60, "scissors": 40, "banana": 30, "left": 900, "upright": 50, "powerbank": 20}


def corrected(*words, trained=TRAINED, rarer_than=5, held_out=frozenset()):
    """What the words are corrected to."""
    return find_corrections(words, trained, rarer_than, held_out)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("botle", "bottle"),  # a letter left out
        ("bottlee", "bottle"),  # one added
        ("bottke", "bottle"),  # one exchanged
        ("bototle", "bottle"),  # added within
        ("scisosrs", "scissors"),  # two swapped
        ("obttle", "bottle"),  # the first two swapped
        ("keychian", "keychain"),  # a word of the set that the English list lacks
        ("umbrela", "umbrella"),  # a word of the English list that the set lacks
    ],
)
def test_a_misspelt_word_becomes_the_word_meant(written, meant):
    assert corrected(written) == {written: meant}


@pytest.mark.parametrize(
    "word",
    [
        "penny",  # a word, though `penne` is commoner
        "mug",
        "wug",  # too short: it may be anything
        "cvttlx",  # two letters away
        "cottle",  # the first letter is seldom wrong
        "keychains",  # the plural of a word of the set
        "fevicol",  # near no word
        "b0ttle",
        "bötle",
        "яблако",
        "leftt",  # a direction is not put in
        "uprigth",
        "stalk's",
        "scissions",  # a word, though a rare one
    ],
)
def test_a_word_that_may_be_right_stays(word):
    assert corrected(word, trained=TRAINED | {"penne": 500, "rug": 500}) == {}


def test_a_word_as_frequent_as_asked_for_is_right_and_so_is_one_hardly_rarer_than_its_neighbour():
    assert corrected("botle", trained=TRAINED | {"botle": 5}) == {}
    assert corrected("botle", trained=TRAINED | {"botle": 4}) == {"botle": "bottle"}
    assert corrected("blickex", trained={"blickex": 1, "blicket": 9}) == {}
    assert corrected("blickex", trained={"blickex": 1, "blicket": 10}) == {"blickex": "blicket"}


def test_a_word_between_two_stays_unless_one_is_far_commoner():
    assert corrected("blickec", trained={"blicket": 50, "blicken": 10}) == {}
    assert corrected("blickec", trained={"blicket": 100, "blicken": 10}) == {"blickec": "blicket"}


def test_no_object_becomes_another_object_however_rare():
    things = ["penny", "penne", "rug", "mug", "lemon", "melon", "bowl", "bowls", "candle", "cable", "table", "marker"]
    counts = {thing: 1000 if number % 2 else 1 for number, thing in enumerate(things)}
    assert corrected(*things, trained=counts) == {}


def test_directions_are_neither_changed_nor_put_in():
    misspelt = [word[:2] + word[3:] for word in sorted(KEPT) if len(word) > 4]
    trained = dict.fromkeys(KEPT, 1000)
    assert not set(corrected(*KEPT, *misspelt, trained=trained).values()) & KEPT
    assert corrected(*KEPT, trained={}) == {}


def test_held_out_words_are_neither_changed_nor_put_in():
    assert corrected("botle", held_out={"botle"}) == {}
    assert corrected("bananna", trained={}) == {"bananna": "banana"}
    assert corrected("bananna", trained={}, held_out={"banana"}) == {}


CLIPS = [
    *(pushed(f"a{number}", "bottle") for number in range(10)),
    pushed("b", "botle"),
    pushed("c", "botle", "val"),
    pushed("d", "bananna"),
    pushed("e", "banana", "test_words"),
    pushed("f", "kettel", "test_words"),
    pushed("g", "penny"),
]


def test_all_splits_are_corrected_by_what_the_train_split_knows_and_every_correction_is_listed():
    done = tokenize_clips(CLIPS, tokenizing(spelling=3))
    assert done.corrections == [Correction("botle", "bottle", 2, 1)]
    things = {caption.id: object_tokens(caption) for caption in done.captions}
    assert things["b"] == things["c"] == ("bottle",)
    assert (things["d"], things["e"], things["f"], things["g"]) == (("bananna",), ("banana",), ("kettel",), ("penny",))
    assert [caption.text for caption in done.captions if caption.id == "b"] == ["pushing a botle from left to right"]
    assert "botle" not in done.vocabulary.ids


def test_nothing_is_corrected_unless_asked_for():
    done = tokenize_clips(CLIPS, tokenizing(spelling=None))
    assert done.corrections == [] and "botle" in done.vocabulary.ids


def test_val_does_not_make_a_word_frequent():
    clips = [
        *(pushed(f"v{number}", "blicket", "val") for number in range(50)),
        pushed("t", "blickex"),
        make_clip("u", "up"),
    ]
    assert tokenize_clips(clips, tokenizing(spelling=3)).corrections == []
