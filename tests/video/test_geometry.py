from fractions import Fraction

import pytest

from pipeline.video.pixels import Crop, Picture, find_centre_crop, list_clip_filters


def picture(width, height, *, pixel_aspect=Fraction(1), rotation=0, steps=(2, 2)):
    return Picture(width, height, "yuv420p", steps, pixel_aspect, rotation)


@pytest.mark.parametrize(
    ("source", "crop"),
    [
        (picture(240, 240), (240, 240, 0, 0)),
        (picture(427, 240), (240, 240, 92, 0)),  # 93.5 aside, on a whole chroma sample
        (picture(240, 427), (240, 240, 0, 92)),
        (picture(427, 240, steps=(1, 1)), (240, 240, 93, 0)),
        (picture(1, 1), (1, 1, 0, 0)),
        (picture(2000, 1), (1, 1, 998, 0)),
        (picture(720, 576, pixel_aspect=Fraction(16, 15)), (540, 576, 90, 0)),  # 540 * 16/15 = 576
        (picture(10, 10, pixel_aspect=Fraction(10**9)), (1, 10, 4, 0)),
    ],
)
def test_the_square_crop_is_the_largest_in_the_centre(source, crop):
    assert find_centre_crop(source, 64, 64) == crop


def test_a_wide_clip_keeps_the_whole_width():
    assert find_centre_crop(picture(400, 400), 32, 64) == (400, 200, 0, 100)


def test_a_quarter_turn_crops_the_lying_shape():
    assert find_centre_crop(picture(400, 400, rotation=-90), 32, 64) == (200, 400, 100, 0)


@pytest.mark.parametrize(
    ("rotation", "turn"),
    [
        (0, []),
        (90, ["transpose=cclock"]),
        (-90, ["transpose=clock"]),
        (180, ["hflip=", "vflip="]),
        (-180, ["hflip=", "vflip="]),
    ],
)
def test_a_turned_picture_is_brought_upright_after_scaling(rotation, turn):
    steps = [
        "=".join(step) for step in list_clip_filters(picture(64, 64, rotation=rotation), Crop(64, 64, 0, 0), 16, 16)
    ]
    assert steps[:3] == [
        "crop=64:64:0:0:exact=1",
        "scale=16:16:flags=bicubic+full_chroma_int+accurate_rnd",
        "format=gbrp",
    ]
    assert steps[3:] == turn
