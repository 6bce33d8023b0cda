import math
from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from settings import clip_shape, transcoding

from pipeline.video import DecodeError
from pipeline.video.timeline import ShortClip, Timeline, choose_frames, choose_windows, is_steady


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


MS = Fraction(1, 1000)


def windows_of(timestamps, *, key="", unit=MS, frames=4, **values):
    window = {name: values.pop(name) for name in ("spread", "seconds", "stride") if name in values}
    timeline = Timeline(timestamps, unit, values.pop("end", None))
    return choose_windows(timeline, clip_shape(frames, 8, 8, **window), transcoding(**values), key)


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
    timestamps = [0, 1000, 2000, 3000, 4000, *range(5000, 6000, 20)]
    assert windows_of(timestamps, frames=6, seconds=6.0) == [[0, 1, 2, 3, 4, 30]]  # at 5.5 s
    assert windows_of(timestamps, frames=6) == [[0, 1, 2, 3, 4, 30]]


def test_stamps_that_do_not_begin_at_zero_change_nothing():
    assert windows_of([timestamp + 777 for timestamp in STEADY], seconds=1.0) == windows_of(STEADY, seconds=1.0)


@pytest.mark.parametrize("timestamps", [[0, None, 20, 30], [0, 20, 10, 30]])
def test_seconds_need_times_in_order_and_frames_do_not(timestamps):
    with pytest.raises(DecodeError, match="no times in order"):
        windows_of(timestamps, seconds=0.01)
    assert windows_of(timestamps, stride=1) == [[0, 1, 2, 3]]


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


# From here on: the frames of a whole video, spread over its time.

RATES = [Fraction(rate) for rate in (1, 5, 8, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 144, 240)]
RATES += [Fraction(1000 * rate, 1001) for rate in (24, 30, 60, 120)] + [Fraction(749, 25), Fraction(100, 7)]
UNITS = [MS, Fraction(1, 10**6), Fraction(1, 90_000), Fraction(1, 12_800), Fraction(1, 600), Fraction(1, 19)]
ROUNDINGS = [math.floor, math.ceil, lambda value: math.floor(value + Fraction(1, 2))]


def steady(count, rate, unit, rounding, first):
    """Timestamps of a constant rate, in a unit that may not know it."""
    return [rounding((first + number / rate) / unit) for number in range(count)]


@settings(max_examples=150)
@given(
    st.integers(1, 40),
    st.integers(0, 400),
    st.sampled_from(RATES),
    st.sampled_from(UNITS),
    st.sampled_from(ROUNDINGS),
    st.fractions(0, 100, max_denominator=90_000),
    st.sampled_from([None, 0, 1, 2]),
)
def test_at_a_constant_rate_the_choice_by_time_is_that_by_index(wanted, more, rate, unit, rounding, first, late):
    """Whatever the unit and the way of rounding to it, and where the header says a frame more or less than there is."""
    assume(1 / rate >= 3 * unit and (late != 2 or rate > 5))
    timestamps = steady(wanted + more, rate, unit, rounding, first)
    end = None if late is None else timestamps[-1] + late / rate / unit
    by_time, by_index = (
        windows_of(timestamps, unit=unit, frames=wanted, end=end, spread=spread) for spread in ("time", "index")
    )
    assert by_time == by_index


@given(st.integers(16, 400), st.sampled_from(RATES), st.sampled_from(UNITS[1:4]))
def test_stamps_that_were_once_rounded_to_milliseconds_are_steady_too(count, rate, unit):
    """A recording of a browser, put into MP4."""
    rounded = [round(timestamp * MS / unit) for timestamp in steady(count, rate, MS, round, 0)]
    assert windows_of(rounded, unit=unit, frames=16) == windows_of(rounded, unit=unit, frames=16, spread="index")


@given(st.lists(st.integers(1, 900), min_size=2, max_size=60), st.integers(1, 32), st.integers(2, 3000))
def test_every_frame_is_the_one_shown_in_the_middle_of_its_span(gaps, wanted, last):
    timestamps, wanted = [0, *accumulate(gaps)], min(wanted, len(gaps))
    timeline = Timeline([*timestamps], MS, Fraction(timestamps[-1] + last))
    assume(not is_steady(timeline) and timeline.last)
    (numbers,) = windows_of(timestamps, frames=wanted, end=timeline.end)
    for k, number in enumerate(numbers):
        moment = (timestamps[-1] + last) * (k + 0.5) / wanted
        assert timestamps[number] <= moment + 0.5  # a timestamp may have been rounded up
        assert number == len(gaps) or timestamps[number + 1] > moment


def test_a_freeze_stays_a_freeze():
    """Ten frames in a second, none for eight, ten in the last: most of the clip stands still."""
    timestamps = [*range(0, 1000, 100), *range(9000, 10_000, 100)]
    assert windows_of(timestamps, frames=10) == [[5, 9, 9, 9, 9, 9, 9, 9, 9, 15]]
    assert windows_of(timestamps, frames=10, spread="index") == [list(range(1, 20, 2))]


@pytest.mark.parametrize(("end", "expected"), [(None, [0, 1, 2, 3]), (12_000, [1, 3, 3, 3]), (3900, [0, 1, 2, 3])])
def test_the_last_frame_lasts_as_the_file_says_or_as_frames_typically_do(end, expected):
    timestamps = [0, 900, 2000, 3000]
    assert windows_of(timestamps, end=end and Fraction(end)) == [expected]


def test_the_last_frame_of_a_steady_video_may_stand_still():
    timestamps = list(range(0, 1600, 100))
    assert windows_of(timestamps, frames=16) == [list(range(16))]
    assert windows_of(timestamps, frames=16, end=Fraction(1800)) == [list(range(16))]  # a header that miscounts
    assert windows_of(timestamps, frames=16, end=Fraction(6400)) == [[2, 6, 10, 14, *[15] * 12]]
    with pytest.raises(ShortClip):
        windows_of(timestamps, seconds=4.0)
    assert windows_of(timestamps, seconds=4.0, end=Fraction(6400)) == [[15, 15, 15, 15]]


def test_stamps_that_no_container_rounds_are_taken_as_they_are():
    """Frame numbers of AVI: a moment half a frame before the next one is not its own."""
    timestamps = [*range(8), 20, 21, 22, 23]
    assert windows_of(timestamps, unit=Fraction(1, 10), frames=8) == [[1, 4, 7, 7, 7, 7, 7, 10]]  # at 19.5, 22.5


@pytest.mark.parametrize("timestamps", [[0, None, 20, 30, 40], [0, 20, 10, 30, 40], [7, 7, 7, 7, 7], [None] * 5])
def test_without_times_in_order_frames_are_counted(timestamps):
    assert windows_of(timestamps) == [choose_frames(5, 4, "drop")]
    with pytest.raises(ShortClip, match="5 frames, fewer than the 6"):
        windows_of(timestamps, frames=6)


FEW = {
    "fifteen at 12 fps": ([round(1000 * number / 12) for number in range(15)], None, "short"),
    "fifteen at 6 fps": ([round(1000 * number / 6) for number in range(15)], None, "short"),
    "uneven, at 20 fps": ([0, 30, 110, 150, 210, 240], None, "short"),
    "one picture": ([0], None, "short"),
    "one picture for long": ([0], 9000, "short"),
    "four in less than a second": ([0, 210, 420, 630], None, "short"),
    "five in eight seconds": ([0, 1700, 3300, 5100, 6400], 8000, [0] * 3 + [1] * 4 + [2] * 3 + [3] * 3 + [4] * 3),
    "eight in eight seconds": (range(0, 8000, 1000), None, [k // 2 for k in range(16)]),
    "two pictures": ([0, 2000], 4000, [0] * 8 + [1] * 8),
    "a few, then nothing": ([0, 40, 80], 16_000, [2] * 16),
}


@pytest.mark.parametrize("name", FEW)
def test_few_frames_in_many_seconds_are_no_short_clip(name):
    timestamps, end, expected = FEW[name]
    end = end and Fraction(end)
    with pytest.raises(ShortClip, match="fewer than the 16 of clip"):
        windows_of([*timestamps], frames=16, end=end, spread="index")
    if expected == "short":
        with pytest.raises(ShortClip, match="fewer than the 16 of clip"):
            windows_of([*timestamps], frames=16, end=end)
        taken_whole = windows_of([*timestamps], frames=16, end=end, short_clips="repeat_last")
        assert taken_whole == [choose_frames(len(timestamps), 16, "repeat_last")]
    else:
        for short_clips in ("drop", "repeat_last"):
            assert windows_of([*timestamps], frames=16, end=end, short_clips=short_clips) == [expected]
