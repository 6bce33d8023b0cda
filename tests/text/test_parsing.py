"""Objects and actions of captions."""

import re
from itertools import cycle

import pytest
from captions import TEMPLATES, chosen, object_tokens
from hypothesis import given
from hypothesis import strategies as st
from made import make_clip
from settings import tokenizing

from pipeline.records import split_template
from pipeline.text.captions import tokenize_clips
from pipeline.text.tokenizer import find_slots, list_actions, match_slots

PLAIN = tokenizing(max_tokens=100)
FILLERS = {  # as people fill a slot -> the words of the object
    "a red coffee-mug": "red coffee mug",
    "the left shoe": "left shoe",
    "two T-shirts": "two t shirts",
    "someone's 2.5 litre water bottle": "someone 's 2.5 litre water bottle",
    "something next to a pen": "something next to a pen",
    "an e-book (open)": "e book open",
    "paper": "paper",
    "a box of 12 crayons": "box of 12 crayons",
    "an a-frame": "a frame",
}


def spoken(text):
    """The words of a text by plain rules, without spaCy: what a caption is to be joined from."""
    text = text.lower().replace("can't", "can not").replace("cannot", "can not").replace("n't", " not")
    return re.findall(r"\d+\.\d+|'s|[a-z0-9]+", text)


def tokenize_clip(made):
    """The tokenized caption of one clip."""
    return tokenize_clips([made], PLAIN).captions[0]


def with_slot(caption, *numbers):
    """The tokens in these slots."""
    return [token for token, slot in zip(caption.tokens, caption.slots, strict=True) if slot in numbers]


@pytest.mark.parametrize("bracketed", [False, True])
@pytest.mark.parametrize("first", range(len(FILLERS)))
def test_every_official_category_parses_into_its_action_and_its_objects_without_loss(bracketed, first):
    if not TEMPLATES.exists():
        pytest.skip("shared/data, the real category names, is not here")
    templates = TEMPLATES.read_text(encoding="utf-8").splitlines()
    assert len(templates) == 174
    filler = cycle([*FILLERS][first:] + [*FILLERS][:first])
    made, filled = [], []
    for number, plain in enumerate(templates):
        literals = re.split(r"\bsomething\b", plain, flags=re.IGNORECASE)
        fillers = [next(filler) for _ in literals[1:]]
        label = literals[0] + "".join(word + literal for word, literal in zip(fillers, literals[1:], strict=True))
        template = re.sub(r"\b(something)\b", r"[\1]", plain, flags=re.IGNORECASE) if bracketed else plain
        made.append(chosen(str(number), label.lower(), template, *fillers))
        filled.append((label, literals, fillers))
    done = tokenize_clips(made, PLAIN)
    assert done.drops == []
    for caption, (label, literals, fillers) in zip(done.captions, filled, strict=True):
        assert " ".join(caption.tokens) == " ".join(spoken(label))
        assert list(caption.action_tokens) == spoken(" ".join(literals))
        for number, words in enumerate(fillers, 1):
            assert with_slot(caption, number, -number) == spoken(words)
            assert with_slot(caption, number) == FILLERS[words].split()
        assert set(map(abs, caption.slots)) == {0, *range(1, len(fillers) + 1)}


def test_ids_of_objects_are_those_of_their_words():
    done = tokenize_clips(
        [chosen("1", "pushing the red mug onto a box", "Pushing [something] onto [something]")], PLAIN
    )
    (caption,) = done.captions
    assert caption.slots == (0, -1, 1, 1, 0, -2, 2)
    assert (object_tokens(caption), caption.action_tokens) == (("red", "mug", "box"), ("pushing", "onto"))
    assert caption.object_ids == done.vocabulary.encode(object_tokens(caption))


@pytest.mark.parametrize(
    ("label", "placeholders", "tokens", "slots"),
    [
        (
            'pushing \\"red bull\\" from left to right',
            ['\\"red bull\\"'],
            "pushing red bull from left to right",
            "0110000",
        ),
        ("pushing $5 + coin from left to right", ["$5 + coin"], "pushing 5 coin from left to right", "0110000"),
        ("pushing а mug\x7f from left to right", ["а mug\x7f"], "pushing a mug from left to right", "0a10000"),  # noqa: RUF001
        ("pushing müsli` from left to right", ["müsli`"], "pushing müsli from left to right", "010000"),
        ("pushing a mug left to rigth", ["a mug"], "pushing a mug left to rigth", "0a1000"),
        ("pushing a mug from left to right", ["book"], "pushing a mug from left to right", "0a10000"),
        ("a mug from left to right", ["mug"], "a mug from left to right", "a10000"),
        ("pushing mug from left to right", ["plate"], "pushing mug from left to right", "010000"),
        ("moving a mug", ["plate"], "moving a mug", "000"),
        ("pushing left from left to right", ["left"], "pushing left from left to right", "010000"),
    ],
)
def test_labels_as_people_typed_them(label, placeholders, tokens, slots):
    caption = tokenize_clip(chosen("1", label, "Pushing [something] from left to right", *placeholders))
    assert " ".join(caption.tokens) == tokens
    assert caption.slots == tuple(-1 if sign == "a" else int(sign) for sign in slots)


def test_a_caption_that_says_its_template_twice_still_has_its_object():
    caption = tokenize_clip(
        make_clip(
            "1", "pushing pushing a pen from left to right from left to right", "train", "Pushing [something]", ("pen",)
        )
    )
    assert (object_tokens(caption), caption.slots[2]) == (("pen",), -1)


def test_a_caption_from_a_table_names_its_objects_anywhere_and_in_any_order():
    caption = tokenize_clip(
        make_clip("1", "The cat, a dog and the cat again", "train", "all", ("dog", "cat", "bird", "cat"))
    )
    assert caption.slots == (-4, 4, -1, 1, 0, -2, 2, 0)


@pytest.mark.parametrize(
    ("template", "around"),
    [
        ("Pushing [something] up", ["Pushing ", " up"]),
        ("Something falling", ["", " falling"]),
        ("Taking one of many similar things", ["Taking one of many similar things"]),
        ("[Something] into [something in it]", ["", " into ", ""]),
        ("Showing nothing of [somethings]", ["Showing nothing of ", ""]),
    ],
)
def test_a_template_is_split_at_its_slots(template, around):
    assert split_template(template)[0] == around


ACTIONS = (
    "pushing * from left to right",
    "pushing * with *",
    "pushing * with * from left to right",
    "* falling",
)


@pytest.mark.parametrize(
    ("caption", "slots"),
    [
        ("pushing a wug from left to right", "0a10000"),
        ("pushing a big a frame from left to right", "0a1110000"),
        ("pushing the box with a pen from left to right", "0a10b20000"),  # the most words of all that fit
        ("pushing box with pen", "0102"),
        ("pushing a with the", "0102"),  # an object has at least one word
        ("the mug falling", "a10"),
        ("from left to right", "0000"),
        ("falling", "0"),
    ],
)
def test_a_typed_caption_is_read_by_the_actions_of_training(caption, slots):
    articles = {"a": -1, "b": -2}
    assert match_slots(tuple(caption.split()), ACTIONS) == tuple(articles.get(sign) or int(sign) for sign in slots)


def test_among_equals_the_commonest_action_reads_a_caption():
    tokens = ("moving", "a", "b", "up")
    assert match_slots(tokens, ("* a b up", "moving * b up")) == (1, 0, 0, 0)
    assert match_slots(tokens, ("moving * b up", "* a b up")) == (0, 1, 0, 0)


def test_actions_come_by_count_with_a_star_per_object_and_only_where_there_is_one():
    captions = [("up a b", (0, -1, 1)), ("a a up", (1, 2, 0)), ("up c", (0, 1)), ("up", (0,)), ("c", (1,))]
    assert list_actions((tuple(text.split()), slots) for text, slots in captions) == ("up *", "* * up")


words = st.lists(st.sampled_from(("a", "the", "red", "mug", "up", "of")), min_size=1, max_size=4).map(tuple)


@given(st.lists(words, min_size=2, max_size=4), st.lists(words, min_size=3, max_size=3))
def test_any_objects_in_any_template_are_found_whole_and_in_order(around, fillers):
    fillers = fillers[: len(around) - 1]
    tokens, expected = around[0], [0] * len(around[0])
    for number, (filler, after) in enumerate(zip(fillers, around[1:], strict=True), 1):
        tokens += filler + after
        expected += [number] * len(filler) + [0] * len(after)
    assert find_slots(tokens, around, fillers) == tuple(expected)
