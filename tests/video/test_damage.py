"""Files that were cut off or damaged on their way: what a player would show of them is no clip to learn from."""

import os

import ffmpeg
import numpy as np
import pytest
from settings import clip_shape, transcoding
from videos import draw

from pipeline.video import DecodeError
from pipeline.video.decode import decode_video
from pipeline.video.ffmpeg import run
from pipeline.video.truncation import refuse_truncated

DECODERS = ["in_process", "ffmpeg"]
CONTAINERS = {
    "xvid.avi": {"vcodec": "mpeg4"},
    "wmv2.wmv": {"vcodec": "wmv2"},
    "h264.flv": {"vcodec": "libx264", "pix_fmt": "yuv420p"},
    "sorenson.flv": {"vcodec": "flv"},
    "mpeg1.mpg": {"vcodec": "mpeg1video", "r": 24},
    "mpeg2.vob": {"vcodec": "mpeg2video"},
    "mpeg2.ts": {"vcodec": "mpeg2video"},
    "h264.mkv": {"vcodec": "libx264"},
    "h264.mp4": {"vcodec": "libx264", "movflags": "faststart"},
    "looped.gif": {},
    "animated.apng": {"f": "apng"},
    "animated.webp": {"vcodec": "libwebp_anim"},
    "live.webm": {"vcodec": "libvpx", "live": 1},
}
KINDS = {
    "h264.mp4": {"vcodec": "libx264", "pix_fmt": "yuv420p"},
    "mpeg4.avi": {"vcodec": "mpeg4"},
    "mpeg2.ts": {"vcodec": "mpeg2video"},
    "prores.mov": {"vcodec": "prores_ks"},
}


def decode(path, **options):
    return decode_video(path, clip_shape(4, 16, 16), transcoding(**options), "")


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_file_that_ends_early_is_refused_in_every_container_that_lets_one_know(tmp_path, name):
    path = draw(tmp_path / name, shape="128x96", **CONTAINERS[name])
    whole = path.read_bytes()
    assert decode(path).count >= 23
    for share in (0.5, 0.8, 0.95):
        os.truncate(path, int(len(whole) * share))
        with pytest.raises(DecodeError, match=r"cut off|damaged"):  # a cut may fall between two packets
            decode(path)
        path.write_bytes(whole)


def test_a_tape_that_ends_within_a_frame_is_refused(tmp_path):
    """Raw DV is frame after frame: it does not say how many, but how long each is."""
    for name, options in {"pal.dv": {"s": "720x576", "r": 25}, "ntsc.dv": {"s": "720x480", "r": "30000/1001"}}.items():
        path = draw(tmp_path / name, frames=3, pix_fmt="yuv420p" if name == "pal.dv" else "yuv411p", **options)
        refuse_truncated(path)
        os.truncate(path, path.stat().st_size - 5000)
        with pytest.raises(DecodeError, match=r"cut off: (139|115)000 bytes of its last frame"):
            refuse_truncated(path)


def test_flash_video_that_ends_between_two_tags_lacks_the_seconds_it_states(tmp_path):
    path = draw(tmp_path / "long.flv", shape="64x48", frames=60, vcodec="flv")
    data = path.read_bytes()
    at = 13
    while at < len(data) / 2:
        at += 15 + int.from_bytes(data[at + 1 : at + 4])
    path.write_bytes(data[:at])
    with pytest.raises(DecodeError, match=r"cut off: 2.* of 5 seconds"):
        refuse_truncated(path)


@pytest.mark.parametrize("name", ["xvid.avi", "wmv2.wmv", "h264.flv", "mpeg1.mpg", "mpeg2.ts"])
def test_a_file_written_to_a_pipe_states_no_length_and_is_whole(tmp_path, name):
    """Its header was never completed."""
    kinds = {"avi": "avi", "wmv": "asf", "flv": "flv", "mpg": "mpeg", "ts": "mpegts"}
    drawing = ffmpeg.input("testsrc2=s=128x96:r=12", f="lavfi")
    options = {**CONTAINERS[name], "f": kinds[name.split(".")[1]], "frames:v": 24}
    (tmp_path / name).write_bytes(run(drawing.output("pipe:", **options), seconds=60))
    assert decode(tmp_path / name).count >= 23


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", KINDS)
def test_frames_that_a_decoder_marks_as_damaged_are_no_clip(tmp_path, name, decoder):
    path = draw(tmp_path / name, shape="128x96", **KINDS[name])
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(4)
    at = int(len(data) * 0.4)
    data[at : at + 60] = rng.integers(0, 255, 60).astype(np.uint8).tobytes()
    assert decode(path, decoder=decoder).count >= 23
    path.write_bytes(data)
    with pytest.raises(DecodeError, match="damaged"):
        decode(path, decoder=decoder)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "libvpx-vp9"])
def test_a_size_that_changes_inside_mp4_is_followed_or_refused(tmp_path, codec):
    """H.264 and VP9 say so in their frames; MPEG-4 has one header for all of a file, so the rest is rubbish."""
    for name, size in (("one", "128x96"), ("two", "96x128")):
        draw(tmp_path / f"{name}.mp4", shape=size, frames=12, vcodec=codec, pix_fmt="yuv420p")
    (tmp_path / "list").write_text("file one.mp4\nfile two.mp4\n")
    path = tmp_path / "both.mp4"
    run(ffmpeg.input(str(tmp_path / "list"), f="concat", safe=0).output(str(path), c="copy"), seconds=60)
    if codec == "mpeg4":
        with pytest.raises(DecodeError, match="damaged"):
            decode(path)
        return
    clip = decode(path, short_clips="drop").clips[0]
    parts = [
        decode_video(tmp_path / f"{name}.mp4", clip_shape(2, 16, 16), transcoding(), "").clips[0]
        for name in ("one", "two")
    ]
    assert np.array_equal(clip, np.concatenate(parts))
