"""Directions as data: phrases before rules, and rules only for what they know."""

import json

import pytest

from pipeline.directions import (
    DirectionRules,
    Phrase,
    complete_phrases,
    mirror_direction,
    name_direction,
    parse_direction,
    read_directions,
    reverse_direction,
)
from pipeline.directions.english import are_in_english
from pipeline.errors import UserError

CAR = [
    Phrase("turning left", "right", "turning right"),  # what a camera on the car films goes the other way
    Phrase("driving straight", "still"),
]


def build(*phrases, **options):
    return DirectionRules(complete_phrases(phrases, "dataset.directions"), **options)


def test_a_phrase_tells_the_way_the_opposite_and_the_mirror_image():
    car = build(*CAR)
    left, right = "A toy car turning left on a track", "A toy car turning right on a track"
    assert (car.find_motion(left), car.find_motion(right)) == ((1, 0), (-1, 0))
    assert (car.find_opposite(left), car.find_opposite(right)) == (right, left)
    assert (car.mirror(left), car.mirror(right)) == (right, left)
    assert car.find_opposite("turning_left") == "turning_right" and car.mirror("TURNING LEFT") == "TURNING RIGHT"
    straight = "A toy car driving straight"
    assert (car.find_motion(straight), car.find_opposite(straight), car.mirror(straight)) == (None, None, straight)


def test_texts_without_a_phrase_are_left_to_the_rules_unless_they_do_not_hold():
    text = "pushing a mug from left to right"
    assert build(*CAR).find_motion(text) == (1, 0)
    without = build(*CAR, rules=False)
    assert (without.find_motion(text), without.find_opposite(text), without.mirror(text)) == (None, None, None)
    assert without.find_mirror_fault(text) == "other_language"
    assert without.mirror("turning left") == "turning right"


def test_other_languages_and_scripts_are_read_by_their_phrases():
    slovak = build(Phrase("zľava doprava", "right", "sprava doľava"), Phrase("hore", "up", "dole"), rules=False)
    assert slovak.find_motion("Posúva knihu zľava doprava") == (1, 0)
    assert slovak.mirror("Posúva knihu zľava doprava") == "Posúva knihu sprava doľava"
    assert slovak.mirror("Dvíha knihu hore") == "Dvíha knihu hore"
    assert slovak.find_opposite("Dvíha knihu hore") == "Dvíha knihu dole"
    chinese = build(Phrase("向左", "left", "向右"), rules=False)
    assert chinese.find_motion("车向左转") == (-1, 0) and chinese.mirror("车向左转") == "车向右转"


@pytest.mark.parametrize("text", ["Posúva knihu zľava doprava", "Ľavá ruka ide hore"])
def test_a_caption_in_another_language_makes_no_twin_beside_english_ones(text):
    mixed = DirectionRules(every_text=False)
    assert mixed.mirror(text) is None and mixed.find_mirror_fault(text) == "other_language"
    assert mixed.mirror("pushing a café chair to the left") == "pushing a café chair to the right"


@pytest.mark.parametrize("text", ["he left", "Everyone left", "the man left early", "The dog left.", "a car left"])
def test_who_left_went_to_no_side(text):
    rules = DirectionRules()
    assert (rules.find_motion(text), rules.find_opposite(text), rules.mirror(text)) == (None, None, None)


@pytest.mark.parametrize("text", ["turn left", "The man walks left", "moving it left", "a left shoe", "left hand up"])
def test_a_side_is_a_side(text):
    assert "right" in (DirectionRules().mirror(text) or "")


def test_the_longest_phrase_counts_and_phrases_at_odds_tell_nothing():
    table = build(Phrase("left", "left", "right"), Phrase("left turn", "right", "right turn"), rules=False)
    assert table.find_motion("a left turn") == (1, 0) and table.mirror("a left turn") == "a right turn"
    assert table.find_motion("left, then a left turn") is None
    assert table.mirror("left, then a left turn") == "right, then a right turn"


def test_a_phrase_to_a_side_without_an_opposite_makes_no_twin():
    table = build(Phrase("veers off", "left"), rules=False)
    assert table.find_mirror_fault("it veers off") == "no_mirror"
    diagonal = build(Phrase("climbs", "up right", mirror="climbs back"), rules=False)
    assert diagonal.find_motion("it climbs back") == (-1, -1) and diagonal.mirror("it climbs back") == "it climbs"


@pytest.mark.parametrize(
    ("phrases", "told"),
    [
        ([Phrase("a", "left"), Phrase("A", "right")], "moves of 'A' is 'left' and 'right'"),
        (
            [Phrase("a", "left", "b"), Phrase("b", "left")],
            "moves of 'b' is 'left' and, as the opposite of 'a', 'right'",
        ),
        ([Phrase("a", None, "b"), Phrase("b", None, "c")], "opposite of 'b' is 'c' and, as the opposite of 'a', 'a'"),
        (
            [Phrase("a", "left", mirror="b"), Phrase("b", "up")],
            "moves of 'b' is 'up' and, as the mirror image of 'a', 'right'",
        ),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(phrases, told):
    with pytest.raises(UserError) as caught:
        build(*phrases)
    assert str(caught.value) == f"dataset.directions: contradicts itself: {told}"


def test_ways_have_names_that_turn_and_flip():
    assert [parse_direction(text) for text in ("Left", "left_up", "up-left", "", "still", "north")] == [
        *("left", "up left", "up left", "", "still", None)
    ]
    assert (mirror_direction("up left"), reverse_direction("up left")) == ("up right", "down right")
    assert [mirror_direction(name) for name in ("", "still", "down")] == ["", "still", "down"]
    assert name_direction((1, 0)) == "right" and name_direction(None) == ""


def test_a_file_brings_everything_back():
    table = build(*CAR, rules=False, counter="anticlockwise")
    assert read_directions(json.loads(json.dumps(table.as_data()))) == table


@pytest.mark.parametrize(
    ("captions", "english"),
    [
        (["A cat jumps over a box", "brush hair", "playing guitar"], True),
        (["brush hair", "climb stairs"], True),  # nothing tells
        (["Muž posúva knihu zľava doprava", "Žena ide hore", "Deti sa hrajú v parku s loptou"], False),
        (["un perro corre por la calle", "el gato duerme en la casa"], False),
        (["猫が走る", "犬が跳ぶ"], False),
        (["A man signs 'Ahoj' in Slovak Sign Language, seen from the front"], True),
    ],
)
def test_a_language_is_told_by_many_captions(captions, english):
    assert are_in_english(captions) is english
