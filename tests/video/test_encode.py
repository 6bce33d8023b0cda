"""Encoding: frames come back from every kind of file, equal frames give equal bytes, a failure leaves nothing."""

import errno
import json
from pathlib import Path

import av
import ffmpeg
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.video.ffmpeg import FfmpegError, encode_clips, encode_frames, run

ENDING = {"vp9": "webm", "h264": "mp4", "gif": "gif"}


def waves(frames=12, height=48, width=64):
    """Smooth colours that drift to the right."""
    t, y, x = np.mgrid[:frames, :height, :width]
    colours = [128 + 90 * np.sin((x - 2 * t) / 9), 128 + 90 * np.sin(y / 8), 60 + 2 * (x + y) / 2]
    return np.stack(colours, axis=-1).clip(0, 255).astype(np.uint8)


def decode(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


@pytest.mark.parametrize("codec", ENDING)
@pytest.mark.parametrize(("height", "width"), [(48, 64), (45, 61), (1, 1)])
def test_frames_come_back(codec, height, width, tmp_path):
    path = tmp_path / f"clip.{ENDING[codec]}"
    frames = waves(height=height, width=width)
    encode_frames(frames, path, fps=12, codec=codec)
    back = decode(path)
    assert len(back) == 12
    if codec != "h264":
        assert back.shape[1:3] == (height, width)
    assert psnr(back[:, :height, :width], frames) > 27


@pytest.mark.parametrize("codec", ENDING)
def test_equal_frames_give_equal_bytes(codec, tmp_path):
    files = [tmp_path / f"{name}.{ENDING[codec]}" for name in ("first", "second name")]
    for path in files:
        encode_frames(waves(), path, fps=12, codec=codec, metadata={"seed": "3"})
    assert files[0].read_bytes() == files[1].read_bytes()


def test_clips_encoded_by_one_ffmpeg_have_the_bytes_of_single_ones(tmp_path):
    clips = [waves(frames, height, width) for frames, height, width in ((12, 48, 64), (5, 45, 61), (1, 24, 24))]
    alone, together = ([tmp_path / f"{number}{way}.webm" for number in range(3)] for way in "ab")
    for frames, path in zip(clips, alone, strict=True):
        encode_frames(frames, path, fps=12, codec="vp9")
    encode_clips(list(zip(clips, together, strict=True)), fps=12)
    assert [path.read_bytes() for path in together] == [path.read_bytes() for path in alone]
    assert len(list(tmp_path.iterdir())) == 6


def test_one_clip_that_cannot_be_encoded_leaves_no_file_of_any(tmp_path):
    with pytest.raises(FfmpegError):
        encode_clips(
            [(waves(), tmp_path / "a.webm"), (np.zeros((1, 1, 70_000, 3), np.uint8), tmp_path / "b.webm")], fps=12
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("codec", ["vp9", "h264"])
def test_speed_colour_format_and_codec_are_as_ordered(codec, tmp_path):
    path = tmp_path / f"clip.{ENDING[codec]}"
    encode_frames(waves(), path, fps=12, codec=codec)
    with av.open(str(path)) as container:
        (stream,) = container.streams
        codec_context = stream.codec_context
        found = (codec_context.codec.canonical_name, codec_context.pix_fmt, stream.average_rate)
    assert found == (codec, "yuv420p", 12)


@pytest.mark.parametrize("codec", ENDING)
def test_metadata_comes_back_from_the_comment(codec, tmp_path):
    path = tmp_path / f"clip.{ENDING[codec]}"
    metadata = {"caption": 'pushing "a bücher = book"; 100 %', "seed": "3", "long": "x" * 600}
    encode_frames(waves(), path, fps=12, codec=codec, metadata=metadata)
    if codec == "gif":
        comment = Image.open(path).info["comment"].decode()
    else:
        with av.open(str(path)) as container:
            comment = next(value for key, value in container.metadata.items() if key.lower() == "comment")
    assert json.loads(comment) == metadata
    assert len(decode(path)) == 12


def test_a_gif_of_few_colours_keeps_them(tmp_path):
    frames = np.full((4, 32, 32, 3), (250, 240, 230), np.uint8)
    for number, column in enumerate((0, 8, 16, 24)):
        frames[number, 8:24, column : column + 8] = (200, 30, 40)
    encode_frames(frames, tmp_path / "clip.gif", fps=8, codec="gif")
    assert np.abs(decode(tmp_path / "clip.gif").astype(int) - frames).max() <= 4


def test_odd_names_are_just_names(tmp_path):
    path = tmp_path / "a:b 'c' & 100%d?.webm"
    encode_frames(waves(), path, fps=12, codec="vp9")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_failure_carries_ffmpegs_words_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "clip.gif"
    path.write_bytes(b"old")
    with pytest.raises(UserError, match=r"clip\.gif: .*GIF does not support resolutions above 65535x65535"):
        encode_frames(np.zeros((1, 1, 70_000, 3), np.uint8), path, fps=12, codec="gif")
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.gif"]
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="needs a folder that nobody may write to")
def test_a_folder_that_may_not_be_written_to_is_named_as_such():
    with pytest.raises(OSError, match=r"/sys/a\.gif") as caught:
        encode_frames(np.zeros((2, 16, 16, 3), np.uint8), Path("/sys/a.gif"), fps=8, codec="gif")
    assert caught.value.errno in (errno.EACCES, errno.EPERM, errno.EROFS)


def test_a_full_disk_is_named_as_such():
    stream = ffmpeg.input("testsrc", format="lavfi", t=1).output("/dev/full", format="webm")
    with pytest.raises(OSError, match="No space left") as caught:
        run(stream, seconds=60)
    assert caught.value.errno == errno.ENOSPC


def test_ffmpeg_is_stopped_after_its_time():
    stream = ffmpeg.input("testsrc", format="lavfi", re=None).output("pipe:", format="null")
    with pytest.raises(FfmpegError, match=r"not done after 0\.5 seconds"):
        run(stream, seconds=0.5)


def test_only_the_tail_of_many_messages_is_kept():
    noise = b"\x00" * 500_000
    stream = ffmpeg.input("pipe:", format="h264").output("pipe:", format="null")
    with pytest.raises(FfmpegError) as caught:
        run(stream, input=noise, seconds=60)
    assert 0 < len(caught.value.tail) <= 4000
