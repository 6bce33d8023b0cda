import os
from typing import NamedTuple

import ffmpeg
import numpy as np
import pytest
from locations import SHARED
from PIL import Image
from settings import TREE, clip_shape, transcoding
from videos import draw

from pipeline.video import DecodeError
from pipeline.video import pyav_decoder as in_process
from pipeline.video.decode import decode_video
from pipeline.video.ffmpeg import run
from pipeline.video.pyav_decoder import PyavReader
from pipeline.video.timeline import ShortClip

SHAPE = clip_shape(8, 32, 48)
CLIPS = SHARED / "clips"
REAL = [path for path in sorted(CLIPS.rglob("*")) if path.is_file()]

KINDS = {
    "vp9.webm": {"vcodec": "libvpx-vp9", "pix_fmt": "yuv420p", "deadline": "realtime", "cpu-used": 8},
    "ten_bits.mp4": {"vcodec": "libx264", "pix_fmt": "yuv444p10le"},
}

# Files of the shared folder that show something, and how many frames; the others have none or are cut off.
FRAMES = {
    "corrupted.mp4": 49,
    "unordered.mov": 4,
    "video_0.mov": 3,
    "video_90.mov": 3,
    "video_180.mov": 3,
    "video_270.mov": 3,
    "fixture-null.webm": 36,
    "fixture.avi": 1,
    "fixture.flv": 25,
    "fixture.mpg": 19,
    "fixture.webm": 1,
    "test.mp4": 140,
    "test.webm": 140,
    "bbb_480p_vp9_opus_1second.webm": 24,
    "test_stereo_left_right.webm": 26,
    "big_buck_bunny_432_433.webm": 24,
    "no_duration.webm": 74,
    "test_video.mp4": 5,
    "transparent.webm": 150,
    "video_with_failing_audio.mp4": 280,
    "av1_video.mkv": 125,
    "h264_10bits.mp4": 30,
    "h265_10bits.mp4": 30,
    "h265_video.mp4": 10,
    "nasa_13013.mp4": 325,
}


class Decoded(NamedTuple):
    frames: np.ndarray
    count: int


def decoded(path, shape, key="", **options):
    """The first clip of a video, and how many frames the video has."""
    video = decode_video(path, shape, transcoding(**options), key)
    return Decoded(video.clips[0], video.count)


def test_frames_look_like_the_pictures_that_were_encoded(tmp_path):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 255, (8, 1, 1, 3), dtype=np.uint8)
    pictures = np.broadcast_to(colours, (8, 240, 427, 3))
    source = ffmpeg.input("pipe:", f="rawvideo", pix_fmt="rgb24", s="427x240", r=12)
    run(source.output(str(tmp_path / "flat.mkv"), vcodec="ffv1", pix_fmt="bgr0"), input=pictures.tobytes(), seconds=60)
    clip = decoded(tmp_path / "flat.mkv", SHAPE, short_clips="drop")
    assert np.array_equal(clip.frames, np.broadcast_to(colours, clip.frames.shape))


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_a_turned_video_is_shown_upright(tmp_path, angle):
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32, :32] = 255  # white at the upper left as stored
    source = ffmpeg.input("pipe:", f="rawvideo", pix_fmt="rgb24", s="64x64", r=12)
    flat = tmp_path / "flat.mov"
    run(source.output(str(flat), vcodec="qtrle"), input=picture.tobytes() * 4, seconds=60)
    turned = tmp_path / "turned.mov"
    run(ffmpeg.input(str(flat), display_rotation=angle).output(str(turned), c="copy"), seconds=60)
    clip = decoded(turned, clip_shape(4, 16, 16), short_clips="drop")
    upright = np.asarray(Image.fromarray(picture).resize((16, 16)).rotate(angle))
    assert np.array_equal(clip.frames[0] > 127, upright > 127)


def test_pixels_that_are_not_square_are_shown_in_their_true_shape(tmp_path):
    path = draw(tmp_path / "wide.mp4", shape="160x240", vf="setsar=3/2", vcodec="libx264", pix_fmt="yuv444p", crf=1)
    square = draw(tmp_path / "square.mp4", shape="160x240", vf="scale=240:240,setsar=1", vcodec="libx264", crf=1)
    clip, expected = (decoded(file, SHAPE, short_clips="drop").frames.astype(int) for file in (path, square))
    assert np.abs(clip - expected).mean() < 3


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
def test_the_shape_of_pixels_may_stand_in_the_frames_alone(tmp_path, codec):
    path = draw(tmp_path / "wide.mp4", shape="160x240", vf="setsar=3/2", vcodec=codec, pix_fmt="yuv420p")
    data = path.read_bytes()
    assert data.count(b"pasp") == 1
    whole = decoded(path, SHAPE).frames
    path.write_bytes(data.replace(b"pasp", b"free"))
    for decoder in ("in_process", "ffmpeg"):
        assert np.array_equal(decoded(path, SHAPE, decoder=decoder).frames, whole)


def test_frames_are_counted_or_timed(tmp_path):
    """Frame n of the uneven video comes after n * n twelfths of a second, of which the index knows nothing."""
    steady = draw(tmp_path / "steady.mkv", vcodec="ffv1")
    uneven = tmp_path / "uneven.mkv"
    drawing = ffmpeg.input("testsrc2=s=427x240:r=12", f="lavfi").filter("setpts", "N*N/12/TB")
    run(drawing.output(str(uneven), vcodec="ffv1", fps_mode="vfr", **{"frames:v": 24}), seconds=60)
    by_index = [decoded(path, clip_shape(8, 32, 48, spread="index"), short_clips="drop") for path in (steady, uneven)]
    assert np.array_equal(*(clip.frames for clip in by_index))
    every = decoded(steady, clip_shape(24, 32, 48), short_clips="drop").frames
    moments = (np.arange(8) + 0.5) / 8 * (23 * 23 + 1)
    by_time = decoded(uneven, SHAPE, short_clips="drop").frames
    assert np.array_equal(by_time, every[np.floor(np.sqrt(moments)).astype(int)])


@pytest.mark.parametrize("window", [{}, {"seconds": 1.0}])
def test_a_file_too_large_to_hold_gives_the_same_clip(tmp_path, monkeypatch, window):
    path, shape = draw(tmp_path / "vp9.webm", **KINDS["vp9.webm"]), clip_shape(8, 32, 48, **window)
    held = decoded(path, shape, short_clips="drop")
    monkeypatch.setattr(in_process, "HELD_BYTES", 1000)
    clip = decoded(path, shape, short_clips="drop")
    assert clip.count == held.count == 24
    assert np.array_equal(clip.frames, held.frames)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", ["vp9.webm", "ten_bits.mp4"])
def test_a_file_that_is_cut_off_is_no_shorter_clip(tmp_path, name, share):
    path = draw(tmp_path / name, movflags="faststart", **KINDS[name]) if name.endswith("mp4") else None
    path = path or draw(tmp_path / name, **KINDS[name])
    whole = path.stat().st_size
    os.truncate(path, int(whole * share))
    with pytest.raises(DecodeError, match=f"cut off: {int(whole * share)} of {whole} bytes"):
        decoded(path, SHAPE, short_clips="drop")


def test_a_live_recording_without_stated_sizes_is_decoded(tmp_path):
    path = draw(tmp_path / "live.webm", live=1, **KINDS["vp9.webm"])
    assert decoded(path, SHAPE, short_clips="drop").count == 24


def test_one_frame_short_is_a_short_clip(tmp_path):
    path = draw(tmp_path / "short.webm", frames=7, **KINDS["vp9.webm"])
    with pytest.raises(ShortClip, match="7 frames"):
        decoded(path, SHAPE, short_clips="drop")
    frames = decoded(path, SHAPE, short_clips="repeat_last").frames
    assert np.array_equal(frames[6], frames[7])
    assert not np.array_equal(frames[5], frames[6])


@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
@pytest.mark.parametrize("limit", ["frame_pixels", "video_pixels", "video_frames"])
def test_a_video_beyond_a_limit_is_refused(tmp_path, limit, decoder):
    path = draw(tmp_path / "vp9.webm", **KINDS["vp9.webm"])
    limits = {**TREE["transcode"]["limits"], limit: 20}
    with pytest.raises(DecodeError, match=r"longer than|picture too large|Invalid argument|Conversion failed"):
        decoded(path, SHAPE, decoder=decoder, limits=limits)


def test_odd_file_names_are_only_names(tmp_path):
    path = draw(tmp_path / "plain.webm", **KINDS["vp9.webm"])
    odd = path.rename(tmp_path / 'a b\'s "c" http:d?e=f&g%20#.webm')
    assert decoded(odd, SHAPE, short_clips="drop").count == 24


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="the shared test clips are not here")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_files_are_decoded_right_or_refused(path):
    if path.name not in FRAMES:
        with pytest.raises(DecodeError):
            decoded(path, SHAPE, short_clips="repeat_last")
        return
    clip = decoded(path, SHAPE, short_clips="repeat_last")
    assert clip.count == FRAMES[path.name]
    assert np.array_equal(clip.frames, decoded(path, SHAPE, short_clips="repeat_last", decoder="ffmpeg").frames)


@pytest.mark.skipif(not REAL, reason="the shared test clips are not here")
def test_frames_agree_with_another_decoders():
    folder = CLIPS / "torchcodec"
    reference = np.load(folder / "nasa_13013_stream0_reference.npz")
    chosen = [0, 9, 15, 35]
    video = PyavReader(folder / "nasa_13013.mp4", transcoding().limits)
    shown = video.read(lambda _: chosen, lambda _: [("format", "rgb24")]).frames
    for name, number in zip(sorted(reference.files), chosen, strict=True):
        assert np.abs(shown[number].astype(int) - reference[name]).mean() < 3
