"""Which stream of a file is read, which part of its pictures is meant to be seen, and what becomes of half pictures."""

import io
import re
import struct

import ffmpeg
import numpy as np
import pytest
from PIL import Image
from settings import clip_shape, transcoding
from videos import draw

from pipeline.video.container_headers import Margins, find_margins, read_container_header
from pipeline.video.decode import decode_video
from pipeline.video.ffmpeg import run

DECODERS = ["in_process", "ffmpeg"]
RED, BLUE = "color=red:s=64x48:r=12", "color=blue:s=64x48:r=12"
SHARP = {"vcodec": "libx264", "crf": 1, "pix_fmt": "yuv420p", "g": 4}


def decode(path, height=24, width=32, **options):
    (clip,) = decode_video(path, clip_shape(4, height, width), transcoding(**options), "").clips
    return clip


def play(path, height=24, width=32, **reading):
    """The frames as ffmpeg's program shows them with its defaults."""
    flags = "bicubic+full_chroma_int+accurate_rnd"
    filters = f"scale={width}:{height}:flags={flags},format=rgb24"
    stream = ffmpeg.input(str(path), **reading).output("pipe:", vf=filters, f="rawvideo")
    return np.frombuffer(run(stream, seconds=60), np.uint8).reshape(-1, height, width, 3)


def join(path, *sources, **options):
    """A file with one video stream per source."""
    streams = [ffmpeg.input(source, f="lavfi") for source in sources]
    run(ffmpeg.output(*streams, str(path), **{"frames:v": 4, "vcodec": "libx264", **options}), seconds=60)
    return path


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", ["two.mkv", "two.mp4"])  # a track of MP4 that is not the default is disabled
def test_the_default_stream_is_read(tmp_path, name, decoder):
    path = join(tmp_path / name, RED, BLUE, **{"disposition:v:0": "0", "disposition:v:1": "default"})
    assert decode(path, decoder=decoder)[..., 2].min() > 200
    path = join(tmp_path / f"none_{name}", RED, BLUE, **{"disposition:v:0": "0", "disposition:v:1": "0"})
    assert decode(path, decoder=decoder)[..., 0].min() > 200


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_cover_is_no_video(tmp_path, decoder):
    cover, video = io.BytesIO(), draw(tmp_path / "video.mp4", shape="64x48", **SHARP)
    Image.new("RGB", (256, 256)).save(cover, "png")
    (tmp_path / "cover.png").write_bytes(cover.getvalue())
    inputs = ffmpeg.input(str(tmp_path / "cover.png")), ffmpeg.input(str(video))
    path = tmp_path / "covered.mp4"
    run(ffmpeg.output(*inputs, str(path), c="copy", **{"disposition:v:0": "attached_pic"}), seconds=60)
    assert np.array_equal(decode(path, decoder=decoder), decode(video, decoder=decoder))


def insert_clap(data, *numbers):
    """An MP4 file with a clean aperture: width, height and where their middle lies, as fractions."""
    box = struct.pack(">I4s8i", 40, b"clap", *numbers)
    at, changed = 0, bytearray(data)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        at = data.index(name, at) + 4
        length = int.from_bytes(data[at - 8 : at - 4])
        changed[at - 8 : at - 4] = (length + 40).to_bytes(4)
    end = at - 8 + length
    return bytes(changed[:end] + box + changed[end:])


CROPPED = {  # margins of 64 x 48: left, right, top, bottom
    "clap.mp4": Margins(14, 10, 8, 10),
    "odd_clap.mp4": Margins(15, 10, 9, 8),
    "pixel_crop.mkv": Margins(14, 10, 8, 10),
}


def crop(folder, name):
    """A file whose container says that part of the picture is not shown."""
    margins = CROPPED[name]
    # Without random numbers of its own, among which those of an element could be found by chance.
    plain = {"live": 1, "fflags": "+bitexact"} if name.endswith("mkv") else {}
    path = draw(folder / f"whole_{name}", shape="64x48", **SHARP, **plain)
    if name.endswith("mp4"):
        width, height = 64 - margins.left - margins.right, 48 - margins.top - margins.bottom
        middle = [margins.left - margins.right, 2, margins.top - margins.bottom, 2]
        (folder / name).write_bytes(insert_clap(path.read_bytes(), width, 1, height, 1, *middle))
        return folder / name
    parts = {0x54CC: margins.left, 0x54DD: margins.right, 0x54BB: margins.top, 0x54AA: margins.bottom}
    added = b"".join(struct.pack(">HBB", name, 0x81, value) for name, value in parts.items())
    put_into_video(path.read_bytes(), added, folder / name)
    return folder / name


def put_into_video(data, added, path):
    """Matroska of unknown length, with more elements at the end of its track's Video."""
    changed = bytearray(data)
    tracks = data.rindex(b"\x16\x54\xae\x6b")  # the first is in the index of parts
    track = data.index(b"\xae", tracks + 5)
    video = re.search(rb"\xe0[\x01\x81-\xff].{0,8}?\xb0\x81\x40", data[track:], re.DOTALL).start() + track
    for at in (tracks + 4, track + 1, video + 1):
        length, size = read_size(data, at)
        changed[at : at + length] = (int.from_bytes(data[at : at + length]) + len(added)).to_bytes(length)
    end = video + 1 + length + size
    changed[end:end] = added
    path.write_bytes(changed)


def read_size(data, at):
    """The length of an EBML size, and its value."""
    length = 9 - data[at].bit_length()
    return length, int.from_bytes(data[at : at + length]) & ((1 << 7 * length) - 1)


@pytest.mark.parametrize("name", CROPPED)
def test_margins_that_a_container_states_are_not_shown(tmp_path, name):
    path = crop(tmp_path, name)
    assert find_margins(read_container_header(path), 0) == CROPPED[name]
    left, right, top, bottom = CROPPED[name]
    clip = decode(path, 48 - top - bottom, 64 - left - right)
    assert np.array_equal(clip, decode(path, 48 - top - bottom, 64 - left - right, decoder="ffmpeg"))
    shown = play(path, 48 - top - bottom, 64 - left - right)[[3, 9, 15, 21]].astype(int)
    assert np.abs(clip - shown).mean() < 1
    if left % 2:  # one column less at each side, as FFmpeg does with halved colours
        return
    whole = play(path, 48, 64, apply_cropping="none")[[3, 9, 15, 21]].astype(int)
    inner = whole[:, top : 48 - bottom, left : 64 - right]
    assert np.abs(clip - inner).mean() < 2


def test_a_container_without_margins_or_no_container_has_none(tmp_path):
    (tmp_path / "text").write_text("moov")
    assert find_margins(read_container_header(tmp_path / "text"), 0) == Margins()
    for name in ("plain.mp4", "plain.mkv", "plain.ts"):
        assert find_margins(read_container_header(draw(tmp_path / name, shape="64x48", **SHARP)), 0) == Margins()


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("left", [10, 34])
def test_margins_of_the_stream_itself_are_cut_to_the_column(tmp_path, left, decoder):
    """FFmpeg's default moves them to steps that its memory likes, so that wrong columns are seen."""
    whole = draw(tmp_path / "whole.mp4", shape="128x48", **SHARP)
    path = tmp_path / "cropped.mp4"
    margins = f"h264_metadata=crop_left={left}:crop_right=2:crop_top=4:crop_bottom=2"
    run(ffmpeg.input(str(whole)).output(str(path), c="copy", **{"bsf:v": margins}), seconds=60)
    clip = decode(path, 42, 126 - left, decoder=decoder)
    expected = play(whole, 48, 128)[[3, 9, 15, 21], 4:46, left:126].astype(int)
    assert np.abs(clip - expected).mean() < 2


def interlace(path, **options):
    """A bar that moves to the right, its two fields a 24th of a second apart."""
    source = ffmpeg.input("color=black:s=128x64:r=24", f="lavfi")
    drawing = source.filter("geq", lum="16+219*between(X,4*N,4*N+24)", cb=128, cr=128)
    woven = drawing.filter("tinterlace", "interleave_top").filter("setfield", "tff")
    run(woven.output(str(path), **{"frames:v": 12, "flags": "+ildct+ilme", **options}), seconds=60)
    return path


INTERLACED = {
    "dv25.mpg": {"vcodec": "mpeg2video", "q:v": 1},
    "h264.mp4": {"vcodec": "libx264", "crf": 1, "x264opts": "tff=1"},
}


@pytest.mark.parametrize("name", INTERLACED)
def test_interlaced_video_is_deinterlaced(tmp_path, name):
    path = interlace(tmp_path / name, **INTERLACED[name])
    clip = decode(path, 64, 128)
    assert np.array_equal(clip, decode(path, 64, 128, decoder="ffmpeg"))
    raw, numbers = play(path, 64, 128), [1, 4, 7, 10]
    combs = [np.abs(np.diff(frames[..., 0].astype(int), axis=1))[:, 8:-8].mean() for frames in (raw[numbers], clip)]
    assert combs[0] > 5 and combs[1] < combs[0] / 4
    bar = np.where(
        (np.arange(128) >= 8 * np.array(numbers)[:, None]) & (np.arange(128) <= 8 * np.array(numbers)[:, None] + 24),
        255,
        0,
    )
    assert np.abs(clip[:, 8:-8, :, 0].astype(int) - bar[:, None]).mean() < 6


def test_frames_that_are_whole_stay_as_they_are_between_interlaced_ones(tmp_path):
    """Progressive, then interlaced: the first half keeps its bytes, and both readers agree on the second."""
    parts = [
        draw(tmp_path / "whole.ts", shape="128x64", vcodec="mpeg2video", frames=12, **{"q:v": 1}),
        interlace(tmp_path / "woven.ts", vcodec="mpeg2video", **{"q:v": 1}),
    ]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    clips = [
        decode_video(path, clip_shape(24, 64, 128), transcoding(decoder=decoder), "").clips[0] for decoder in DECODERS
    ]
    assert np.array_equal(*clips)
    whole = decode_video(parts[0], clip_shape(12, 64, 128), transcoding(), "").clips[0]
    assert np.array_equal(clips[0][:12], whole)
