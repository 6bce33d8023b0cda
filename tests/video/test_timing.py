from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from settings import clip_shape, transcoding

from pipeline.video.limits import DecodeError
from pipeline.video.timing import ShortClip, Timeline, choose_frames, choose_windows


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


def windows_of(stamps, *, key="", unit=Fraction(1, 1000), frames=4, **values):
    window = {name: values.pop(name) for name in ("seconds", "stride") if name in values}
    return choose_windows(Timeline(stamps, unit), clip_shape(frames, 8, 8, **window), transcoding(**values), key)


STEADY = [round(1000 * number / 12) for number in range(48)]  # four seconds at 12 fps, as WebM rounds it


def test_the_whole_video_is_one_window_however_many_are_allowed():
    assert windows_of(STEADY, windows=9) == [choose_frames(48, 4, "drop")]


def test_known_windows_of_every_third_frame():
    assert windows_of(STEADY, stride=3) == [[19, 22, 25, 28]]  # 10 of 48 frames: 38 left over, 19 before
    assert windows_of(STEADY, stride=1, windows=2) == [[10, 11, 12, 13], [34, 35, 36, 37]]
    assert windows_of(STEADY[:10], stride=3, windows=2) == [[0, 3, 6, 9]]


def test_known_windows_of_seconds():
    assert windows_of(STEADY, seconds=4.0) == [[6, 18, 30, 42]]
    assert windows_of(STEADY, seconds=1.0) == [[19, 22, 25, 28]]  # from 1.5 s; middles at 1.625, 1.875 ...
    assert windows_of(STEADY, seconds=2.0, windows=9) == [[3, 9, 15, 21], [27, 33, 39, 45]]


def test_a_moment_on_a_rounded_stamp_belongs_to_its_frame():
    """Every moment is that of a frame: 5/12 s is stamped 417 ms, a little late."""
    assert windows_of(STEADY[:24], frames=12, seconds=2.0) == [list(range(1, 24, 2))]


def test_a_window_of_seconds_goes_by_the_clock_and_not_by_the_count():
    """Frames 0 to 4 last a second each, the others 1/50: nearly all of them come in the last second."""
    stamps = [0, 1000, 2000, 3000, 4000, *range(5000, 6000, 20)]
    assert windows_of(stamps, frames=6, seconds=6.0) == [[0, 1, 2, 3, 4, 32]]  # 0.55 s in, at 5.55


def test_stamps_that_do_not_begin_at_zero_change_nothing():
    assert windows_of([stamp + 777 for stamp in STEADY], seconds=1.0) == windows_of(STEADY, seconds=1.0)


@pytest.mark.parametrize("stamps", [[0, None, 20, 30], [0, 20, 10, 30]])
def test_seconds_need_times_in_order_and_frames_do_not(stamps):
    with pytest.raises(DecodeError, match="no times in order"):
        windows_of(stamps, seconds=0.01)
    assert windows_of(stamps, stride=1) == [[0, 1, 2, 3]]


@pytest.mark.parametrize("window", [{"stride": 16}, {"seconds": 4.2}])
def test_a_video_too_short_for_one_window_is_refused_or_stands_still_at_its_end(window):
    with pytest.raises(ShortClip, match=r"transcode\.short_clips|clip\.seconds"):
        windows_of(STEADY, **window)
    (numbers,) = windows_of(STEADY, short_clips="repeat_last", windows=3, place="random", **window)
    assert numbers[0] in (0, 6) and numbers[-1] >= 44


def test_one_frame_lasts_no_time():
    with pytest.raises(ShortClip):
        windows_of([5], seconds=0.1)
    assert windows_of([5], seconds=0.1, short_clips="repeat_last") == [[0, 0, 0, 0]]


@given(st.text(), st.integers(1, 9), st.sampled_from([{"stride": 3}, {"seconds": 0.6}]))
def test_random_windows_lie_in_the_video_without_overlap_and_alike_for_one_key(key, windows, window):
    chosen = windows_of(STEADY, key=key, windows=windows, place="random", **window)
    assert chosen == windows_of(STEADY, key=key, windows=windows, place="random", **window)
    assert 1 <= len(chosen) <= windows
    flat = [number for numbers in chosen for number in numbers]
    assert flat == sorted(flat) and len({*flat}) == len(flat) and flat[0] >= 0 and flat[-1] < 48


def test_random_windows_reach_every_place():
    starts = {windows_of(STEADY, key=str(key), stride=15, place="random")[0][0] for key in range(50)}
    assert starts == {0, 1, 2}  # a window spans 46 of the 48 frames
