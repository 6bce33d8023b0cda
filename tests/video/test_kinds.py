"""The kinds of video that are read, beside those that the other tests draw, and what is said about the others."""

from pathlib import Path

import ffmpeg
import numpy as np
import pytest
from settings import clip_shape, transcoding

from pipeline.video import DecodeError
from pipeline.video.decode import decode_video
from pipeline.video.ffmpeg import run

SHAPE = clip_shape(4, 144, 180)
KINDS = {  # and how far the picture may be off, levels in the mean: what the codec itself makes of it
    "animated.apng": ({"vcodec": "apng", "f": "apng"}, 2),
    "sequence.avif": ({"vcodec": "libsvtav1", "crf": 5}, 4),
    "tape.dv": ({"pix_fmt": "yuv420p"}, 4),
    "tape.avi": ({"vcodec": "dvvideo", "pix_fmt": "yuv420p"}, 4),
    "edit.mov": ({"vcodec": "dnxhd", "profile:v": "dnxhr_hq", "pix_fmt": "yuv422p", "colorspace": "bt709"}, 4),
    "alpha.mov": ({"vcodec": "prores_ks", "profile:v": "4444", "pix_fmt": "yuva444p10le"}, 2),
    "lossless.avi": ({"vcodec": "huffyuv", "pix_fmt": "yuv422p"}, 2),
    "lossless_ff.avi": ({"vcodec": "ffvhuff", "pix_fmt": "yuv444p"}, 2),
    "old.avi": ({"vcodec": "cinepak", "max_extra_cb_iterations": 0}, 8),  # its encoder is slow
}


def draw(path: Path, **options):
    drawing = ffmpeg.input("testsrc2=s=720x576:r=25", f="lavfi").filter("gblur", 3)
    run(drawing.output(str(path), **{"frames:v": 8, "threads": 1, **options}), seconds=300)
    return path


def play(path):
    """The frames that a clip of four takes, as ffmpeg's program shows them."""
    filters = "crop=720:576,scale=180:144:flags=bicubic+full_chroma_int+accurate_rnd,format=rgb24"
    stream = ffmpeg.input(str(path))["v:1" if path.suffix == ".avif" else "v:0"]
    data = run(stream.output("pipe:", vf=filters, f="rawvideo", fps_mode="passthrough"), seconds=60)
    return np.frombuffer(data, np.uint8).reshape(8, 144, 180, 3)[1::2].astype(int)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_read_alike_by_both_means_and_shows_what_was_drawn(tmp_path, name):
    options, bound = KINDS[name]
    path = draw(tmp_path / name, **options)
    shape = clip_shape(4, 576, 720) if name.startswith("tape") else SHAPE
    videos = [decode_video(path, shape, transcoding(decoder=decoder), "") for decoder in ("in_process", "ffmpeg")]
    assert np.array_equal(videos[0].clips[0], videos[1].clips[0])
    assert videos[0].count == 8
    if name.startswith("tape"):  # pixels that are not square, so the picture is cut
        return
    drawn = draw(tmp_path / "drawn.mkv", vcodec="ffv1", pix_fmt="gbrp")
    assert np.abs(videos[0].clips[0] - play(path)).mean() < 1
    assert np.abs(videos[0].clips[0] - play(drawn)).mean() < bound


@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
def test_an_animated_webp_is_read_by_the_program_either_way(tmp_path, decoder):
    """The library that is read in this process does not know it yet."""
    path = draw(tmp_path / "animated.webp", vcodec="libwebp_anim", lossless=1)
    video = decode_video(path, SHAPE, transcoding(decoder=decoder), "")
    assert video.count == 8 and np.abs(video.clips[0] - play(path)).mean() < 1


@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
def test_the_refusal_names_the_codec(tmp_path, decoder):
    path = draw(tmp_path / "rare.mkv", vcodec="snow", strict=-2)
    with pytest.raises(DecodeError, match="its codec is snow, not one of apng,av1"):
        decode_video(path, SHAPE, transcoding(decoder=decoder), "")


@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
def test_a_container_outside_the_list_is_told(tmp_path, decoder):
    path = draw(tmp_path / "rare.nut", vcodec="mpeg4")
    with pytest.raises(DecodeError, match=r"its container is none of matroska,.*, or its header is damaged"):
        decode_video(path, SHAPE, transcoding(decoder=decoder), "")
