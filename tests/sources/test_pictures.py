"""Names of pictures -> the frames of a clip."""

import pytest
from pictures import number_names

from pipeline.sources.common import SourceFault
from pipeline.sources.pictures import SAMPLED, digest_pictures, is_pattern, order_pictures

FIVE = number_names(5)


@pytest.mark.parametrize(
    ("names", "pattern", "ordered"),
    [
        (FIVE, "*.jpg", FIVE),
        (number_names(3, "img_{:05}.jpg"), "img_*.jpg", number_names(3, "img_{:05}.jpg")),
        (
            ["frame_10.png", "frame_9.png", "frame_11.png"],
            "frame_*.png",
            ["frame_9.png", "frame_10.png", "frame_11.png"],
        ),
        (number_names(3, first=0), "*.jpg", number_names(3, first=0)),
        (["1.JPG", "2.jpeg", "3.jpg"], "*.jpg", ["1.JPG", "2.jpeg", "3.jpg"]),
        (["1.TIF", "2.tiff", "3.tif"], "*.tif", ["1.TIF", "2.tiff", "3.tif"]),
        (number_names(2, "frame{}.bmp"), "frame*.bmp", number_names(2, "frame{}.bmp")),
        (number_names(2, "{:03}_cam2.webp"), "*_cam2.webp", number_names(2, "{:03}_cam2.webp")),
        (number_names(2, "v1_{:03}.jpg"), "v1_*.jpg", number_names(2, "v1_{:03}.jpg")),
        ([*FIVE, "cover.jpg", "notes.txt", ".DS_Store", "._00001.jpg", "Thumbs.db"], "*.jpg", FIVE),
        ([*FIVE, "thumb_1.png"], "*.jpg", FIVE),
        (["img_1.jpg", "img_2.jpg", "flow_x_1.jpg", "flow_x_2.jpg", "flow_y_1.jpg", "flow_y_2.jpg"], "img_*.jpg", None),
        (["flower_1.jpg", "flower_2.jpg"], "flower_*.jpg", None),
        (["00001.jpg"], "*.jpg", None),
        (["1403636579763555584.png", "1403636579813555456.png"], "*.png", None),
    ],
)
def test_the_pictures_with_numbers_are_the_frames_in_the_order_of_numbers(names, pattern, ordered):
    found, numbered = order_pictures(reversed(names))
    assert found == pattern
    assert is_pattern(f"folder/{found}")
    if ordered:
        assert list(numbered.names) == ordered
        assert numbered.timestamps == tuple(range(len(ordered)))
    assert order_pictures(names, found) == (found, numbered)


def test_a_missing_picture_leaves_its_time_empty():
    names = [name for name in number_names(20) if name not in ("00007.jpg", "00008.jpg")]
    _, numbered = order_pictures(names)
    assert numbered.timestamps == (*range(6), *range(8, 20))
    assert numbered.missing == 2


def test_every_fifth_picture_is_no_gap():
    _, numbered = order_pictures([f"{n}.jpg" for n in (0, 5, 10, 15)])
    assert numbered.timestamps == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([name for name in number_names(20) if not "00007.jpg" <= name <= "00009.jpg"], "lacks 3 of 20"),
        (["1.jpg", "01.jpg", "2.jpg"], "two pictures of one number: 01.jpg and 1.jpg"),
        (["1.jpg", "2.jpg", "1.png", "2.png"], "several names: 2 *.jpg, 2 *.png; name the frames in dataset.pictures"),
        (["cam1_1.jpg", "cam1_2.jpg", "cam2_1.jpg", "cam2_2.jpg"], "2 cam1_*.jpg, 2 cam2_*.jpg"),
        (["10.jpg", "20.jpg", "30.jpg", "35.jpg", "40.jpg", "50.jpg"], "no regular step"),
    ],
)
def test_what_is_no_row_of_frames_is_refused_with_the_reason(names, told):
    with pytest.raises(SourceFault) as raised:
        order_pictures(names)
    assert told in str(raised.value)


@pytest.mark.parametrize("names", [[], ["a.jpg", "b.jpg"], ["1.txt"], ["._1.jpg"]])
def test_a_folder_without_numbered_pictures_is_none(names):
    assert order_pictures(names) is None


def test_a_pattern_chooses_among_several():
    names = [*number_names(3, "img_{}.jpg"), *number_names(3, "mask_{}.png")]
    _, numbered = order_pictures(names, "img_*.jpg")
    assert numbered.names == ("img_1.jpg", "img_2.jpg", "img_3.jpg")
    with pytest.raises(SourceFault, match="no picture called depth"):
        order_pictures(names, "depth_*.png")


def test_the_digest_asks_for_few_sizes_and_tells_names_and_sizes_apart():
    _, numbered = order_pictures(number_names(100))
    asked = []
    digest = digest_pictures(numbered, lambda name: asked.append(name) or 5)
    assert len(asked) == SAMPLED
    assert {"00001.jpg", "00100.jpg"} <= {*asked}
    assert digest != digest_pictures(numbered, lambda name: 6 if name == "00100.jpg" else 5)
    assert digest != digest_pictures(order_pictures(number_names(99))[1], lambda _: 5)
    assert digest == digest_pictures(numbered, lambda _: 5)


def test_a_star_that_a_person_wrote_may_stand_for_more_than_a_number():
    names = [f"01April_2010_default-0.avi_pid0_fn{number:06}-0.png" for number in range(12)]
    pattern, numbered = order_pictures([*names, "notes.txt"], "*.png")
    assert pattern == "01April_2010_default-0.avi_pid0_fn*-0.png"
    assert list(numbered.names) == names
    assert order_pictures(names, pattern) == (pattern, numbered)
