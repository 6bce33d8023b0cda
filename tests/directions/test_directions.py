"""Captions for the mirror image and for the opposite way, and which way they say that things move."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from locations import SHARED

from pipeline.directions.english import find_counter_spelling, find_mirror_fault, find_motion, find_opposite, mirror
from pipeline.records import slugify

TEMPLATES = SHARED / "labels" / "something-v2-templates.txt"

# The categories of Something-Something-V2 that are each other's opposite, judged one by one.
EACH_OTHER = """
Approaching something with your camera | Moving away from something with your camera
Burying something in something | Digging something out of something
Opening something | Closing something
Dropping something behind something | Dropping something in front of something
Folding something | Unfolding something
Holding something behind something | Holding something in front of something
Moving something and something away from each other | Moving something and something closer to each other
Moving something away from something | Moving something closer to something
Moving something away from the camera | Moving something towards the camera
Moving something down | Moving something up
Pouring something into something | Pouring something out of something
Pretending to close something without actually closing it | Pretending to open something without actually opening it
Pretending to put something into something | Pretending to take something out of something
Pulling something from left to right | Pulling something from right to left
Pushing something from left to right | Pushing something from right to left
Pushing something off of something | Pushing something onto something
Putting something behind something | Putting something in front of something
Putting something into something | Taking something out of something
Turning the camera downwards while filming something | Turning the camera upwards while filming something
Turning the camera left while filming something | Turning the camera right while filming something
"""
# Those whose opposite is no category of its own.
BEYOND = """
Attaching something to something | Detaching something from something
Letting something roll down a slanted surface | Letting something roll up a slanted surface
Lifting something with something on it | Lowering something with something on it
Picking something up | Putting something down
Plugging something into something | Unplugging something from something
Pretending to pick something up | Pretending to put something down
Pretending to put something behind something | Pretending to put something in front of something
Pretending to put something on a surface | Pretending to take something off a surface
Pretending to put something onto something | Pretending to take something off of something
Pretending to put something underneath something | Pretending to put something on top of something
Pulling something onto something | Pulling something off of something
Pulling something out of something | Pulling something into something
Putting number of something onto something | Taking number of something off of something
Putting something and something on the table | Taking something and something off the table
Putting something on a surface | Taking something off a surface
Putting something onto something | Taking something off of something
Putting something underneath something | Putting something on top of something
Putting something, something and something on the table | Taking something, something and something off the table
Showing something behind something | Showing something in front of something
Showing something on top of something | Showing something underneath something
Spilling something behind something | Spilling something in front of something
Uncovering something | Covering something
"""
# The categories that name a side, the one that uses such a word otherwise, and those that go one way in the picture.
SIDED = re.compile(r"\b(?:left|right)\b")
OTHERWISE = "Plugging something into something but pulling it right out as you remove your hand"
MOTIONS = {
    "Pushing something from left to right": (1, 0),
    "Pulling something from left to right": (1, 0),
    "Pushing something from right to left": (-1, 0),
    "Pulling something from right to left": (-1, 0),
    "Turning the camera right while filming something": (-1, 0),  # what it films goes the other way
    "Turning the camera left while filming something": (1, 0),
    "Turning the camera upwards while filming something": (0, 1),
    "Turning the camera downwards while filming something": (0, -1),
    "Moving something up": (0, -1),
    "Moving something down": (0, 1),
    "Lifting something with something on it": (0, -1),
}


def pairs(table):
    return [tuple(line.split(" | ")) for line in table.strip().splitlines()]


def bracketed(template):
    return re.sub("(?i)something", lambda match: f"[{match[0]}]", template)


@pytest.fixture
def templates():
    if not TEMPLATES.exists():
        pytest.skip("shared/data, the real category names, is not here")
    return TEMPLATES.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(("one", "other"), pairs(EACH_OTHER) + pairs(BEYOND))
def test_two_categories_are_each_others_opposite_as_text_as_template_and_as_slug(one, other):
    for form in (str, str.lower, bracketed, slugify):
        assert find_opposite(form(one)) == form(other)
        assert find_opposite(form(other)) == form(one)


def test_the_pairs_are_categories_and_all_other_categories_have_no_opposite(templates):
    opposed = {name for pair in pairs(EACH_OTHER) for name in pair}
    assert opposed <= set(templates)
    beyond = {one for one, _ in pairs(BEYOND)}
    assert beyond <= set(templates) and not {other for _, other in pairs(BEYOND)} & set(templates)
    without = [template for template in templates if find_opposite(template) is None]
    assert len(without) == 174 - len(opposed) - len(beyond) == 112
    assert set(without).isdisjoint(opposed | beyond)


def test_the_mirror_image_swaps_the_six_categories_with_sides_and_keeps_all_others_but_one(templates):
    for template in templates:
        if template == OTHERWISE:
            assert (mirror(template), find_mirror_fault(template)) == (None, "other_sense")
        elif SIDED.search(template):
            assert mirror(template) == find_opposite(template)
        else:
            assert mirror(template) == template
    assert sum(SIDED.search(template) is not None for template in templates) == 7


def test_exactly_these_categories_go_one_way_in_the_picture(templates):
    assert {template: way for template in templates if (way := find_motion(template))} == MOTIONS


@pytest.mark.parametrize(
    ("text", "flipped"),
    [
        ("pushing a left shoe from left to right", "pushing a right shoe from right to left"),
        ("Pushing The Box From The Left To The Right", "Pushing The Box From The Right To The Left"),
        ("TURNING LEFT", "TURNING RIGHT"),
        ("the leftmost cup, moved leftwards, left-handed", "the rightmost cup, moved rightwards, right-handed"),
        ("turning a knob clockwise", "turning a knob counter-clockwise"),
        ("Clockwise turn", "Counter-clockwise turn"),
        ("swipe_left", "swipe_right"),
        ("TurnLeft", "TurnRight"),
        ("pushing pushing it left to right from left to right", "pushing pushing it right to left from right to left"),
        ("putting leftovers upright, leaving", "putting leftovers upright, leaving"),
        ("stacking number of cups", "stacking number of cups"),
        ("moving a café chair up", "moving a café chair up"),
    ],
)
def test_a_flipped_caption_has_all_its_sides_swapped_and_nothing_else(text, flipped):
    assert mirror(text) == flipped
    assert mirror(flipped) == text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("pushing an alarm clock from left to right", "writing"),
        ("writing on a board", "writing"),
        ("WritingOnBoard", "writing"),
        ("showing the letter a", "writing"),
        ("stacking letters", "writing"),
        ("putting a number on a cake", "writing"),
        ("unscrewing a cap", "writing"),
        ("turning a bottle right side up", "other_sense"),
        ("a cup left behind the box", "other_sense"),
        ("the cup is left in the sink", "other_sense"),
        ("moving it right next to a cup from left to right", "other_sense"),
        ("putting it in the right place", "other_sense"),
        ("turning it anticlockwise", "other_spelling"),
        ("pushing LeFt", "other_spelling"),
        ("толкая книгу", "other_script"),
    ],
)
def test_a_clip_is_not_flipped_where_the_picture_or_the_words_would_be_wrong(text, fault):
    assert mirror(text) is None
    assert find_mirror_fault(text) == fault


def test_counter_clockwise_is_written_as_the_dataset_writes_it():
    texts = ["Turning Hand Counterclockwise", "turning it counterclockwise", "turning it anti-clockwise", "up"]
    assert find_counter_spelling(texts) == "counterclockwise"
    assert find_counter_spelling(["clockwise"]) == "counter-clockwise"
    for turned in (mirror, find_opposite):
        assert turned("Turning Hand Clockwise", "counterclockwise") == "Turning Hand Counterclockwise"
        assert turned("Turning Hand Counterclockwise", "counterclockwise") == "Turning Hand Clockwise"
        assert turned("turning a lid anticlockwise", "anticlockwise") == "turning a lid clockwise"
        assert turned("turning-a-lid-clockwise", "counter clockwise") == "turning-a-lid-counter-clockwise"


@pytest.mark.parametrize(
    ("text", "turned"),
    [
        ("pushing a left shoe from left to right", "pushing a left shoe from right to left"),
        ("a woman opens an open box", "a woman closes an open box"),
        ("Open the box", "Close the box"),
        ("pushing pushing it left to right from left to right", "pushing pushing it right to left from right to left"),
        ("moving a pick up truck up", "moving a pick up truck down"),
        ("moving a cup up and to the left", "moving a cup down and to the right"),
        ("lifting up a box", "lowering down a box"),
        ("a man walks towards a car", "a man walks further away from a car"),
        ("a man walks toward the camera", "a man walks farther away from the camera"),
        ("Swiping Left", "Swiping Right"),
        ("PUSHING IT INTO A BOX", "PUSHING IT OUT OF A BOX"),
        ("putting a cup on top of a box", "putting a cup underneath a box"),
        ("pushing a car that is broken from left to right", "pushing a car that is broken from right to left"),
        ("jumping forward", "jumping backward"),
        ("The camera pans up", "The camera pans down"),
    ],
)
def test_the_opposite_swaps_the_way_and_leaves_the_objects(text, turned):
    assert find_opposite(text) == turned
    assert find_opposite(turned) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "holding a cup",
        "moving a cup from left to right and from right to left",
        "moving a cup up and down",
        "moving a cup up onto a box",  # two ways at once
        "turning a cup upside down",
        "pushing a coin through an opening",
        "moving a cup close to a box",
        "putting on a hat",
        "trying to put a cup into a box",
        "putting a cup into a box so it breaks",
        "putting a cup behind the camera",
        "covering a cup with a cloth",  # uncovering it with a cloth would be another thing
        "pulling a cup from behind of a box",
        "pushing it right next to a box",
        "dropping a cup into a box",  # what falls does not fall out again
        "picking up a cup that was put down",
    ],
)
def test_no_opposite_where_no_way_or_none_without_doubt_is_named(text):
    assert find_opposite(text) is None


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("pushing a left shoe from left to right", (1, 0)),
        ("a ball comes from the left", (1, 0)),
        ("moving a cup up and to the left", (-1, -1)),
        ("pulling a rope to the left", (-1, 0)),
        ("pushing a cup from left to right onto a book", (1, 0)),
        ("Swiping Down", (0, 1)),
        ("panning the camera to the right", (-1, 0)),
        ("panning camera to the left", (1, 0)),
        ("the camera pans left", (1, 0)),
        ("The camera slowly pans to the right", (-1, 0)),
        ("camera tilts upwards", (0, 1)),
        ("the camera is moved from left to right", (-1, 0)),
        ("the camera zooms in and pans right", (-1, 0)),
        ("the camera pans up", (0, 1)),
        ("The camera slowly pans down.", (0, -1)),
        ("the camera tilts slowly up", (0, 1)),
        ("the camera sweeps down over a valley", (0, -1)),
        ("the camera zooms in and pans up", (0, 1)),
        ("the camera pans to the left and up", (1, 1)),
        ("panning the camera down", (0, -1)),
        ("Pan up", (0, 1)),
        ("the-camera-pans-up", (0, 1)),
        ("washing pans up", None),  # no camera
        ("a man looks up", None),
        ("the camera pans to a man looking up", None),
        ("the camera pans up as a dog runs up", None),
        ("the camera pans up and down", None),
        ("pan left", (1, 0)),
        ("Panning slowly to the right", (-1, 0)),
        ("a kitchen, tilting upwards", (0, 1)),
        ("a slow shot panning to the left", (1, 0)),
        ("the-camera-pans-left", (1, 0)),
        ("pushing a pan to the left", (-1, 0)),  # no camera
        ("Pushing pan from left to right", (1, 0)),
        ("a woman tilts her head to the left", (-1, 0)),
        ("a man walks to the left while the camera pans", (-1, 0)),
        ("the camera turns to a man walking to the left", None),
        ("the camera pans left as a dog runs to the left", None),
        ("a dog runs to the left and the camera pans left", None),
        ("a bird flies to the left over the lake", (-1, 0)),
        ("putting a cup to the left of a box", None),
        ("a cup on the left", None),
        ("walking up the stairs", None),
        ("moving a cup away from the camera", None),
        ("lifting a cup up completely, then letting it drop down", None),
        ("moving a cup from left to right and back from right to left", None),
    ],
)
def test_the_motion_is_the_way_that_the_caption_names(text, way):
    assert find_motion(text) == way


words = st.sampled_from(
    re.findall(
        r"\w+",
        """a the to from of left right Left RIGHT up down into out off onto on in towards toward away closer camera
        moving Pushing putting Taking pick put open opening close behind front top clockwise counter anticlockwise
        lifting something box that so roll letting bottom leftwards underneath clock TurnLeft""",
    )
)
texts = st.tuples(st.lists(words, max_size=9), st.sampled_from(" -_")).map(lambda drawn: drawn[1].join(drawn[0]))


@pytest.mark.slow
@given(texts | st.text(max_size=30), st.sampled_from(["counter-clockwise", "anticlockwise", "counter clockwise"]))
@example("Opening the left box to the left", "counter-clockwise")
def test_what_is_turned_twice_is_the_text_again(text, counter):
    for turned in (mirror, find_opposite):
        once = turned(text, counter)
        assert once is None or turned(once, counter) == text
    assert find_opposite(text, counter) != text


@given(texts)
def test_the_motion_turns_with_the_caption(text):
    way, turned, flipped = find_motion(text), find_opposite(text), mirror(text)
    if way and turned:
        assert find_motion(turned) == (-way[0], -way[1])
    if way and flipped:
        assert find_motion(flipped) == (-way[0], way[1])


@pytest.mark.parametrize(
    "words", ["putting ", "up, ", "camera pans up ", "left to ", "taking a ", "-", "letting ", "the left ", "counter "]
)
@pytest.mark.parametrize("length", [999, 50_000])
def test_a_hostile_caption_costs_no_time(words, length):
    text = (words * length)[:length]
    start = time.process_time()
    for turn in (find_opposite, mirror, find_motion):
        turn(text)
    assert time.process_time() - start < 1
