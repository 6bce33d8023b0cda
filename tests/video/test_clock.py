"""When frames are shown: each frame of a drawn video has a grey of its own, so a clip tells what it is made of."""

from bisect import bisect_right
from contextlib import suppress
from fractions import Fraction

import ffmpeg
import numpy as np
import pytest
from odd_videos import pack_b_frames, read_packets, repeat_theora, write_avi
from settings import clip_shape, transcoding

from pipeline.video import DecodeError
from pipeline.video.container_headers import find_end, find_margins, read_container_header
from pipeline.video.decode import Part, decode_parts, decode_video
from pipeline.video.ffmpeg import run
from pipeline.video.truncation import refuse_truncated

DECODERS = ["in_process", "ffmpeg"]
STEP = 16  # grey levels from one frame to the next
TENTHS = [*range(8), 12, 17, 21, 27, 31, 32]  # of a second, when the frames of an uneven video come

KINDS = {  # of files whose frames may come at any time, and how long they show the last one
    "b_frames.mp4": ({"vcodec": "libx264"}, 1),
    "phone.mp4": ({"vcodec": "libx264", "bf": 0}, 1),
    "hevc.mov": ({"vcodec": "libx265", "x265-params": "log-level=none"}, 1),
    "live.mp4": ({"vcodec": "libx264", "bf": 0, "movflags": "frag_keyframe+empty_moov"}, 1),
    "vp8.webm": ({"vcodec": "libvpx"}, 1),
    "vp9.webm": ({"vcodec": "libvpx-vp9"}, 1),
    "browser.webm": ({"vcodec": "libvpx", "live": 1}, 1),
    "h264.mkv": ({"vcodec": "libx264"}, 1),
    "flash.flv": ({"vcodec": "flv"}, 1),
    "h264.ts": ({"vcodec": "libx264"}, 1),
    "screen.wmv": ({"vcodec": "wmv2"}, 1),
    "drops.avi": ({"vcodec": "mjpeg", "pix_fmt": "yuvj420p"}, 1),
    "drops_and_b_frames.avi": ({"vcodec": "mpeg4", "bf": 2, "q:v": 2}, 1),
    "looped.gif": ({}, 1),
    "animated.apng": ({"f": "apng"}, 1),  # its muxer gives the last frame the length of the one before
}


def draw(path, timestamps, rate=10, **options):
    """Frames with these timestamps, in frames of the rate."""
    pictures = np.repeat(np.arange(len(timestamps), dtype=np.uint8) * STEP, 64 * 64)
    source = ffmpeg.input("pipe:", f="rawvideo", pix_fmt="gray", s="64x64", r=rate)
    place = (
        "".join(f"if(eq(N,{number}),{timestamp}," for number, timestamp in enumerate(timestamps))
        + "0"
        + ")" * len(timestamps)
    )
    timed = source.filter("setpts", place)
    given = {"pix_fmt": "yuv420p", **options} if path.suffix not in (".gif", ".apng") else options
    run(timed.output(str(path), fps_mode="vfr", **given), input=pictures.tobytes(), seconds=60)
    return path


def read_numbers(path, frames, decoder="in_process", **window):
    """Which frames of the video a clip is made of."""
    shape = clip_shape(frames, 16, 16, **window)
    (clip,) = decode_video(path, shape, transcoding(decoder=decoder), "").clips
    return read_levels(clip)


def read_levels(clip):
    return np.rint(clip.mean(axis=(1, 2, 3)) / STEP).astype(int).tolist()


def choose(timestamps, length, frames):
    """Which frames are shown in the middle of equal spans; a moment on a timestamp is none of these cases."""
    moments = [Fraction((2 * k + 1) * length, 2 * frames) for k in range(frames)]
    return [bisect_right(timestamps, moment + timestamps[0]) - 1 for moment in moments]


@pytest.mark.parametrize("name", KINDS)
def test_frames_of_every_kind_of_file_go_by_their_times(tmp_path, name):
    options, last = KINDS[name]
    path = draw(tmp_path / name, TENTHS, **options)
    for decoder in DECODERS:
        assert read_numbers(path, 13, decoder) == choose(TENTHS, 32 + last, 13)
        assert read_numbers(path, 7, decoder, spread="index") == [1, 3, 5, 7, 9, 11, 13]
    assert read_numbers(path, 5, seconds=3.0) == read_numbers(path, 5, "ffmpeg", seconds=3.0)


PARTS = [(0, 12), (7, 27), (10, 33), (13, 26)]  # tenths of a second


@pytest.mark.parametrize("name", ["b_frames.mp4", "vp9.webm", "drops.avi", "looped.gif"])
def test_frames_of_parts_go_by_their_times_as_well(tmp_path, name):
    """A frame that is shown already as the part begins counts from there, and one that outlasts it up to its end."""
    path = draw(tmp_path / name, TENTHS, **KINDS[name][0])
    parts = [Part(start / 10, end / 10, "") for start, end in PARTS]
    for decoder in DECODERS:
        found = decode_parts(path, parts, clip_shape(8, 16, 16), transcoding(decoder=decoder))
        for (start, end), video in zip(PARTS, found, strict=True):
            moments = [start + Fraction((2 * k + 1) * (end - start), 16) for k in range(8)]
            assert read_levels(video.clips[0]) == [bisect_right(TENTHS, moment) - 1 for moment in moments]


def hold_last(path, tenths):
    """Say in the file that its last frame is shown for so long."""
    held = path.with_name(f"held_{path.name}")
    units = f"{tenths}/10/TB"
    timing = f"setts=duration='if(eq(N,{len(TENTHS) - 1}),{units},DURATION)'"
    run(ffmpeg.input(str(path)).output(str(held), c="copy", **{"bsf:v": timing}), seconds=60)
    return held


HELD = ["phone.mp4", "live.mp4", "hevc.mov", "vp8.webm", "h264.mkv", "looped.gif", "screen.wmv"]


@pytest.mark.parametrize("timestamps", [TENTHS, list(range(14))], ids=["uneven", "steady"])
@pytest.mark.parametrize("name", HELD)
def test_the_length_of_the_last_frame_counts(tmp_path, name, timestamps):
    options, _ = KINDS[name]
    options = options | {"bf": 0} if name in ("hevc.mov", "h264.mkv") else options
    path = hold_last(draw(tmp_path / name, timestamps, **options), 30)
    expected = choose(timestamps, timestamps[-1] + 30, 13)
    assert expected[-3:] == [13, 13, 13]
    for decoder in DECODERS:
        assert read_numbers(path, 13, decoder) == expected


def test_tracks_of_sound_say_nothing_about_the_last_picture(tmp_path):
    """Three seconds of sound, of which MP4 tells apart how long each track is, and Matroska does not."""
    pictures = draw(tmp_path / "phone.mp4", TENTHS, vcodec="libx264", bf=0)
    sound = ffmpeg.input("sine=d=6", f="lavfi")
    for name in ("loud.mp4", "loud.mkv"):
        path = tmp_path / name
        run(ffmpeg.output(ffmpeg.input(str(pictures)), sound, str(path), vcodec="copy", acodec="aac"), seconds=60)
        assert find_end(path, read_container_header(path), 1) == (Fraction(33, 10) if name.endswith("mp4") else None)
        for decoder in DECODERS:
            assert read_numbers(path, 13, decoder) == choose(TENTHS, 33, 13)


def test_a_constant_rate_keeps_its_frames_beside_longer_sound(tmp_path):
    pictures, sound = ffmpeg.input("testsrc2=s=64x64:r=30:d=1", f="lavfi"), ffmpeg.input("sine=d=6", f="lavfi")
    for name in ("loud.mp4", "loud.mkv", "loud.flv"):
        path = tmp_path / name
        run(ffmpeg.output(pictures, sound, str(path), vcodec="flv" if "flv" in name else "libx264"), seconds=60)
        clips = [
            decode_video(path, clip_shape(13, 16, 16, spread=spread), transcoding(decoder=decoder), "").clips[0]
            for spread in ("time", "index")
            for decoder in DECODERS
        ]
        assert all(np.array_equal(clip, clips[0]) for clip in clips)


REPEATS = [0, 0, 0, 6, 0, 0, 0, 2, 0, 5, 0, 0, 0, 4]  # of each frame, besides itself
PLACES = [0, 1, 2, 3, 10, 11, 12, 13, 16, 17, 23, 24, 25, 26]  # of the frames; 31 in all


ODD = {
    "mjpeg": {"vcodec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mpeg4": {"vcodec": "mpeg4"},
    "theora": {"vcodec": "libtheora", "q:v": 10},
}


@pytest.mark.parametrize("codec", ODD)
def test_frames_that_are_repeated_stand_still(tmp_path, codec):
    """By empty chunks in AVI, also at the end, and by empty packets in Ogg."""
    steady = tmp_path / ("steady.ogv" if codec == "theora" else "steady.avi")
    draw(steady, range(14), **ODD[codec])
    if codec == "theora":
        path = repeat_theora(steady, REPEATS)
    else:
        packets = zip(read_packets(steady), REPEATS, strict=True)
        chunks = [part for packet, count in packets for part in (packet, *[b""] * count)]
        path = write_avi(tmp_path / "odd.avi", chunks, {"mjpeg": b"MJPG", "mpeg4": b"FMP4"}[codec], 10, 64)
    assert find_end(path, read_container_header(path), 0) == Fraction(31, 10)
    for decoder in DECODERS:
        assert read_numbers(path, 13, decoder) == choose(PLACES, 31, 13)
        assert read_numbers(path, 4, decoder, seconds=3.1) == choose(PLACES, 31, 4)


def test_packed_b_frames_get_their_times_by_the_rate(tmp_path):
    steady = draw(tmp_path / "steady.avi", range(15), vcodec="mpeg4", bf=1, b_strategy=0, **{"q:v": 2})
    path = write_avi(tmp_path / "packed.avi", pack_b_frames(read_packets(steady)), b"DX50", 10, 64)
    for decoder in DECODERS:
        assert read_numbers(path, 15, decoder) == list(range(15))
        assert read_numbers(path, 5, decoder, seconds=1.5) == [1, 4, 7, 10, 13]


@pytest.mark.parametrize("offset", [0, 3600])
@pytest.mark.parametrize("kind", ["mpegts", "mpeg"])
def test_recordings_joined_or_cut_are_shown_without_the_jump_of_their_clock(tmp_path, kind, offset):
    """The second part begins at zero again, or an hour later: ffmpeg's program goes on at once, as television does."""
    parts = []
    for number, start in enumerate((0, offset)):
        path = tmp_path / f"{number}.bin"
        levels = range(7 * number, 7 * number + 7)
        pictures = np.repeat(np.array(levels, dtype=np.uint8) * STEP, 64 * 64)
        source = ffmpeg.input("pipe:", f="rawvideo", pix_fmt="gray", s="64x64", r=25)
        options = {"vcodec": "mpeg2video", "pix_fmt": "yuv420p", "f": kind, "output_ts_offset": start, "q:v": 2}
        run(source.output(str(path), **options), input=pictures.tobytes(), seconds=60)
        parts.append(path.read_bytes())
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts))
    for decoder in DECODERS:
        assert read_numbers(path, 14, decoder) == list(range(14))


@pytest.mark.parametrize("name", ["phone.mp4", "vp8.webm", "browser.webm", "flash.flv", "screen.wmv", "drops.avi"])
def test_an_altered_header_states_any_end_or_none(tmp_path, name):
    path = draw(tmp_path / name, TENTHS, **KINDS[name][0])
    data, rng = path.read_bytes(), np.random.default_rng(1)
    for _ in range(200):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 30)) // rng.integers(1, 9):
            changed[place] = rng.integers(0, 256)
        path.write_bytes(changed[: rng.integers(len(data) // 2, len(data))])
        with suppress(DecodeError):
            refuse_truncated(path)
        header = read_container_header(path)
        end = find_end(path, header, 1)
        assert end is None or isinstance(end, Fraction)
        assert min(find_margins(header, 0)) >= 0
