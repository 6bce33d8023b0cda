import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.video.timing import ShortClip, choose_frames


def test_a_video_of_just_the_wanted_length_is_taken_whole():
    assert choose_frames(16, 16, "drop") == list(range(16))


def test_known_choices():
    assert choose_frames(45, 16, "drop") == [1, 4, 7, 9, 12, 15, 18, 21, 23, 26, 29, 32, 35, 37, 40, 43]
    assert choose_frames(9, 1, "drop") == [4]
    assert choose_frames(100, 2, "drop") == [25, 75]


@given(st.integers(1, 64), st.integers(0, 400))
def test_every_equal_span_of_the_video_gives_one_frame(wanted, more):
    count = wanted + more
    for k, number in enumerate(choose_frames(count, wanted, "drop")):
        assert k * count <= number * wanted + wanted / 2 and number * wanted < (k + 1) * count


@given(st.integers(1, 64), st.integers(0, 400))
def test_as_much_is_left_out_at_the_start_as_at_the_end(wanted, more):
    numbers = choose_frames(wanted + more, wanted, "drop")
    assert abs(numbers[0] - (wanted + more - 1 - numbers[-1])) <= 1


def test_a_clip_one_frame_short_is_refused_with_both_numbers():
    with pytest.raises(ShortClip, match="15 frames, fewer than the 16"):
        choose_frames(15, 16, "drop")


def test_the_last_frame_of_a_short_clip_stands_still_on_request():
    assert choose_frames(3, 6, "repeat_last") == [0, 1, 2, 2, 2, 2]
