"""Fonts for captions of every script."""

from PIL import ImageFont

from pipeline.rendering.fonts import INSTALLED, choose_font


def test_plain_text_is_drawn_as_it_is_in_the_font_that_every_machine_has():
    font, drawn = choose_font("pushing a mug…", 16)
    assert drawn == "pushing a mug…"
    assert font.getmask(drawn).getbbox() == ImageFont.load_default(16).getmask(drawn).getbbox()


def test_letters_that_no_font_has_lose_their_accents():
    assert choose_font("Lučenec, Jún, œ", 16, installed=())[1] == "Lucenec, Jun, œ"
    assert choose_font("Lučenec", 16, installed=("no such font.ttf",))[1] == "Lucenec"


def test_another_font_is_taken_where_it_has_more_letters():
    found = [name for name in INSTALLED if _is_installed(name)]
    font, drawn = choose_font("Жук", 16)
    assert drawn == "Жук"
    boxes = {bytes(font.getmask(letter)) for letter in drawn}
    assert len(boxes) == (3 if found else 1)


def _is_installed(name):
    try:
        return bool(ImageFont.truetype(name, 16))
    except OSError:
        return False
