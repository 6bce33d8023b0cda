"""Captions of every script as pictures."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from pipeline.rendering import draw_text, measure_text

SIZE, HEIGHT, WIDTH = 16, 40, 200
BLACK = (0, 0, 0)


def draw(text):
    """The darkness of each pixel [HEIGHT,WIDTH] of a line that begins at (5, 10)."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), (255, 255, 255))
    draw_text(ImageDraw.Draw(picture), 5, 10, text, SIZE, BLACK)
    return 255 - np.array(picture)[:, :, 0]


def places(picture):
    rows, columns = np.nonzero(picture)
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_plain_text_is_drawn_as_it_is_in_pillows_font():
    text, font = "pushing a “mug”…", ImageFont.load_default(SIZE)
    picture = Image.new("RGB", (WIDTH, HEIGHT), (255, 255, 255))
    ImageDraw.Draw(picture).text((5, 10), text, BLACK, font)
    np.testing.assert_array_equal(draw(text), 255 - np.array(picture)[:, :, 0])
    assert measure_text(text, SIZE) == font.getlength(text)


@pytest.mark.parametrize("letters", ["cčćç", "oőøœ", "Жук", "αβγ", "左右上", "から", "왼쪽", "שלו"])
def test_every_letter_has_a_look_of_its_own(letters):
    looks = {draw(letter).tobytes() for letter in (*letters, "?")}
    assert len(looks) == len(letters) + 1


@pytest.mark.parametrize("text", ["Lučenec, Jún", "ỄgjqÅ", "把杯子推到左边", "Жук"])
def test_text_in_another_font_stands_where_plain_text_does(text):
    picture = draw(text)
    top, bottom, left, right = places(picture)
    assert 5 <= left <= 8
    assert right == pytest.approx(5 + measure_text(text, SIZE), abs=3)
    own = places(draw("ÅEgq")), places(draw("AEgq"))
    assert [edge[1] for edge in own] == pytest.approx([own[1][1]] * 2, abs=1)  # on one base line
    assert top > 0
    assert bottom < HEIGHT - 5


def test_accents_of_their_own_belong_to_the_letter_before():
    np.testing.assert_array_equal(draw("Luc\u030cenec"), draw("Lučenec"))


def test_hebrew_goes_from_right_to_left_and_the_rest_does_not():
    ink = draw("אב ג č 12")
    alone = draw("ג")
    end = 5 + int(measure_text("ג", SIZE)) - 1
    np.testing.assert_array_equal(ink[:, :end], alone[:, :end])  # the last Hebrew letter comes first
    np.testing.assert_array_equal(draw("12 č")[:, :20], draw("12 č אב")[:, :20])
