from fractions import Fraction

import ffmpeg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from settings import clip_shape, transcoding
from videos import draw

from pipeline.video.decode import decode_video
from pipeline.video.ffmpeg import run
from pipeline.video.pixels import NOISE, Picture, find_busiest_crop, find_centre_crop


def picture(width=640, height=320, steps=(1, 1)):
    return Picture(width, height, "yuv420p", steps, Fraction(1), 0)


def still(height=32, width=64):
    return np.full((4, height, width), 100, np.uint8)


@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from([(1, 1), (2, 2), (4, 1)]), st.integers(0, NOISE))
def test_the_crop_is_the_centres_where_nothing_but_noise_moves(width, height, steps, noise):
    greys = still(max(1, height // 10), max(1, width // 10))
    greys[1] += noise
    source = picture(width, height, steps)
    assert find_busiest_crop(greys, source, 64, 64) == find_centre_crop(source, 64, 64)


@pytest.mark.parametrize(("columns", "x"), [(slice(0, 4), 0), (slice(60, 64), 320)])
def test_the_crop_goes_to_the_movement(columns, x):
    greys = still()
    greys[::2, :, columns] = 200
    crop = find_busiest_crop(greys, picture(), 64, 64)
    assert crop[:2] == find_centre_crop(picture(), 64, 64)[:2]
    assert abs(crop.x - x) <= 140 and crop.y == 0
    assert crop.x <= columns.start * 10 and columns.stop * 10 <= crop.x + crop.width


def test_the_crop_holds_as_much_as_any_place_could():
    """Against trying every place on pixels repeated to the full size."""
    rng = np.random.default_rng(3)
    greys = rng.integers(0, 255, (5, 8, 50)).astype(np.uint8)
    source = picture(500, 80, (2, 2))
    changes = np.abs(np.diff(greys.astype(int), axis=0))
    columns = np.repeat(np.where(changes > NOISE, changes, 0).sum(axis=(0, 1)), 10)
    held = [columns[x : x + 80].sum() for x in range(0, 421, 2)]
    crop = find_busiest_crop(greys, source, 64, 64)
    assert columns[crop.x : crop.x + crop.width].sum() == max(held)
    assert crop.x % 2 == 0


@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
@pytest.mark.parametrize("turned", [0, 180])
def test_a_ball_at_the_side_is_in_the_clip_and_not_in_the_centres(tmp_path, decoder, turned):
    flat = tmp_path / "flat.mp4"
    source = ffmpeg.input("color=black:s=240x80:r=12", f="lavfi")
    filters = "geq=lum='255*lt(hypot(X-20,Y-30-8*mod(N,4)),10)':cb=128:cr=128"
    run(source.output(str(flat), vf=filters, vcodec="libx264", crf=1, **{"frames:v": 12}), seconds=60)
    path = tmp_path / "turned.mp4"
    run(ffmpeg.input(str(flat), display_rotation=turned).output(str(path), c="copy"), seconds=60)
    shape = clip_shape(4, 16, 16)
    centre, motion = (
        decode_video(path, shape, transcoding(crop=crop, decoder=decoder), "").clips[0] for crop in ("centre", "motion")
    )
    assert centre.max() < 30 and motion.max() > 150


def test_each_window_has_a_crop_of_its_own_that_stands_still(tmp_path):
    """A square jumps up and down at the left, then at the right; the background tells where the crop lies."""
    where = "if(lt(N,12),20,220)"
    light = f"if(lt(abs(X-{where}),10)*lt(abs(Y-30-10*mod(N,2)),10),255,X/2)"
    source = ffmpeg.input("color=black:s=240x80:r=12", f="lavfi")
    path = tmp_path / "two.mkv"
    run(source.output(str(path), vf=f"geq=lum='{light}':cb=128:cr=128", vcodec="ffv1", **{"frames:v": 24}), seconds=60)
    shape = clip_shape(12, 16, 16, stride=1)
    first, second = decode_video(path, shape, transcoding(crop="motion", windows=2), "").clips
    for clip in (first, second):
        assert np.ptp(clip[:, -1], axis=0).max() == 0  # the lowest row never changes
    assert first[0, -1].mean() + 60 < second[0, -1].mean()


def test_a_drawn_video_without_movement_is_cropped_at_the_centre(tmp_path):
    path = draw(tmp_path / "still.mkv", vf="select=eq(n\\,0),loop=23:1", vcodec="ffv1")
    clips = [
        decode_video(path, clip_shape(4, 16, 16), transcoding(crop=crop), "").clips for crop in ("centre", "motion")
    ]
    assert np.array_equal(*clips)
