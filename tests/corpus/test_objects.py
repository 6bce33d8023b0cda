"""What fills the slots of a caption."""

import time

import pytest

from pipeline.corpus.captions import find_objects

RIGHT = "Pushing [something] from left to right"


@pytest.mark.parametrize(
    ("caption", "template", "placeholders", "objects"),
    [
        ("pushing a rubber duck from left to right", RIGHT, ["a rubber duck"], ("rubber duck",)),
        ("Pushing The Book from left to right", RIGHT, ["The Book"], ("book",)),
        ("pushing box from left to right", RIGHT, ["box"], ("box",)),
        ("pushing a anchor from left to right", RIGHT, ["a anchor"], ("anchor",)),  # `a` alone is the article
        ('pushing "a book" from left to right', RIGHT, ['\\"a book\\"'], ("book",)),
        ("putting a cup onto a plate", "Putting [something] onto [something]", ["a cup", "a plate"], ("cup", "plate")),
        ("[Something] falling".replace("[Something]", "a leaf"), "[Something] falling", ["a leaf"], ("leaf",)),
        ("stacking two books", "Stacking [number of] [something]", ["two", "books"], ("books",)),
        (
            "tipping a cup with tea in it over",
            "Tipping [something] with [something in it] over",
            ["a cup", "tea in it"],
            ("cup", "tea in it"),
        ),
        ("pushing a book from left to right", "Pushing something from left to right", ["a book"], ("book",)),
        ("pushing a book", "Pushing ［something］", [], ("book",)),  # noqa: RUF001 - brackets of full width
        ("waving", "Waving", [], ()),
        ("moving something up", "Moving something up", [], ()),  # of Something-Something-V1
        ("putting something onto something", "Putting something onto something", ["something"] * 2, ()),
    ],
)
def test_placeholders_that_fit_are_the_objects(caption, template, placeholders, objects):
    assert find_objects(caption, template, placeholders) == objects


@pytest.mark.parametrize(
    ("caption", "template", "placeholders", "objects"),
    [
        ("pushing a red book from left to right", RIGHT, ["book"], ("red book",)),
        ("pushing a red book from left to right", RIGHT, [], ("red book",)),
        ("pushing a red book from left to right", RIGHT, ["a book", "a mug"], ("red book",)),
        ("putting a cup onto a plate", "Putting [something] onto [something]", ["cup and plate"], ("cup", "plate")),
    ],
)
def test_the_caption_is_read_by_its_template_where_placeholders_do_not_fit(caption, template, placeholders, objects):
    assert find_objects(caption, template, placeholders) == objects


@pytest.mark.parametrize(
    ("caption", "template", "placeholders", "objects"),
    [
        ("a book is being pushed", RIGHT, ["a book"], ("book",)),
        ("a book is being pushed", RIGHT, ["a book", "", "the pen"], ("book", "pen")),
        ("a book is being pushed", RIGHT, [], ()),
        ("pushing from left to right", RIGHT, [""], ()),
        ("", RIGHT, [""], ()),
    ],
)
def test_placeholders_are_taken_on_trust_where_the_caption_does_not_fit_either(
    caption, template, placeholders, objects
):
    assert find_objects(caption, template, placeholders) == objects


def test_a_hostile_template_costs_no_time():
    start = time.process_time()
    find_objects("a " * 5000, "[x] " * 50 + "end", ["y"])
    find_objects("a" * 10_000, "[x][y]" * 50 + "b", ["y"])
    assert time.process_time() - start < 1
