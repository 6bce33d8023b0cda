"""Parts of a video: the same frames as of the whole, with no more decoded than they need."""

import math

import numpy as np
import pytest
from settings import clip_shape, transcoding
from videos import draw

from pipeline.video import Budget, DecodeError, pyav_parts
from pipeline.video.decode import DecodedVideo, Part, decode_parts, decode_video
from pipeline.video.pyav_parts import PyavPartReader
from pipeline.video.timeline import OutsideVideo, ShortClip

SHAPE = clip_shape(4, 32, 32)
KINDS = {
    "h264.mp4": {"vcodec": "libx264", "g": 24, "bf": 3},
    "h264_open.mkv": {"vcodec": "libx264", "x264-params": "open-gop=1:keyint=24:bframes=3"},
    "h264.ts": {"vcodec": "libx264", "g": 24, "bf": 2},
    "hevc_open.mp4": {"vcodec": "libx265", "x265-params": "open-gop=1:keyint=24:bframes=3:log-level=none"},
    "vp9.webm": {"vcodec": "libvpx-vp9", "g": 24, "deadline": "realtime", "auto-alt-ref": 1, "lag-in-frames": 8},
    "vp8.webm": {"vcodec": "libvpx", "g": 24, "deadline": "good", "cpu-used": 8, "auto-alt-ref": 1, "lag-in-frames": 8},
    "av1.mp4": {"vcodec": "libsvtav1", "g": 24, "preset": 12},
    "mpeg2.mpg": {"vcodec": "mpeg2video", "g": 24, "bf": 2, "r": 24},
    "mpeg4.avi": {"vcodec": "mpeg4", "g": 24, "bf": 2},
    "interlaced.mp4": {"vcodec": "libx264", "g": 24, "flags": "+ildct+ilme", "x264-params": "tff=1"},
    "mjpeg.avi": {"vcodec": "mjpeg"},
    "picture.gif": {},
    "edited.mov": {"vcodec": "libx264", "g": 24, "bf": 2, "ss": 1.5},
}
PARTS = [Part(start, end, f"{start}-{end}") for start, end in [(0, 2), (1.5, 4), (5, 5.5), (11, 13), (19, 30)]]


def decode(path, parts, shape=SHAPE, **options):
    return list(decode_parts(path, parts, shape, transcoding(**options)))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return lambda name: (folder / name) if (folder / name).exists() else draw(folder / name, frames=240, **KINDS[name])


@pytest.mark.parametrize("name", KINDS)
def test_a_part_has_the_frames_that_the_whole_has_there(drawn, name):
    path = drawn(name)
    timeline = PyavPartReader(path, transcoding().limits).read(lambda _: (), lambda _: []).timeline
    timestamps = timeline.known()
    times = [float((timestamp - timestamps[0]) * timeline.unit) for timestamp in timestamps]
    wanted = [part for part in PARTS if part.start < times[-1]]
    parts = decode(path, wanted)
    for part, found in zip(wanted, parts, strict=True):
        assert isinstance(found, DecodedVideo), found
        [alone] = decode(path, [part])
        assert np.array_equal(alone.clips[0], found.clips[0])
        inside = [n for n, time in enumerate(times) if part.start - 0.01 <= time < part.end - 0.01]
        assert abs(found.count - len(inside)) <= 1, (part, found.count, len(inside))
    [everything] = decode(path, [Part(0, 1e6, "")])
    # The other decoder has listed the frames of the whole file.
    other = decode(path, wanted, decoder="ffmpeg")
    for found, expected in zip(parts, other, strict=True):
        assert np.array_equal(found.clips[0], expected.clips[0])
    assert everything.count == len(timestamps)


def test_no_more_is_decoded_than_the_parts_need(drawn, monkeypatch):
    decoded = []
    monkeypatch.setattr(Budget, "add", lambda _, *size: decoded.append(size))
    path = drawn("h264.mp4")
    tiles = [Part(start, start + 2, str(start)) for start in range(0, 20, 2)]
    assert all(isinstance(found, DecodedVideo) for found in decode(path, tiles))
    assert len(decoded) <= 240
    decoded.clear()
    found = decode(path, [Part(16, 18, "")])
    # The first frame, which tells how the picture is turned, and what lies between the key frame before and the end.
    assert isinstance(found[0], DecodedVideo) and len(decoded) <= 24 + 8


def test_a_video_without_an_index_is_timed_once_for_all_parts(drawn, monkeypatch):
    decoded = []
    monkeypatch.setattr(Budget, "add", lambda _, *size: decoded.append(size))
    parts = [Part(start, start + 2, str(start)) for start in (0, 4, 8)]
    assert all(isinstance(found, DecodedVideo) for found in decode(drawn("picture.gif"), parts))
    assert len(decoded) == 240 * (1 + len(parts))


@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
def test_every_part_of_a_file_that_is_cut_off_has_that_fault(drawn, tmp_path, decoder):
    path = tmp_path / "cut.mp4"
    path.write_bytes(drawn("h264.mp4").read_bytes()[:-1000])
    faults = decode(path, PARTS, decoder=decoder)
    assert len(faults) == len(PARTS) and all(isinstance(fault, DecodeError) for fault in faults)
    assert {str(fault)[:8] for fault in faults} == {"cut off:"}


def test_a_file_too_large_to_hold_is_sought_in(drawn, monkeypatch):
    monkeypatch.setattr(pyav_parts, "NEAR", 0)
    for name in ("h264.mp4", "h264_open.mkv", "h264.ts", "mpeg4.avi", "vp9.webm"):
        path, late = drawn(name), [Part(15, 16, "a"), Part(18, 20, "b")]
        sought = decode(path, late)
        for found, expected in zip(sought, decode(path, late, decoder="ffmpeg"), strict=True):
            assert isinstance(found, DecodedVideo) and np.array_equal(found.clips[0], expected.clips[0]), name


def test_what_a_video_does_not_have_is_said_and_costs_the_others_nothing(drawn):
    path = drawn("h264.mp4")
    parts = [Part(0, 1, "a"), Part(3, 3.1, "b"), Part(19, 25, "c"), Part(20, 21, "d"), Part(300, 310, "e")]
    first, short, cut, after, later = decode(path, parts)
    assert isinstance(first, DecodedVideo) and first.count == 12
    assert isinstance(short, ShortClip)
    assert isinstance(cut, DecodedVideo) and cut.count == 12  # a part that ends after the video ends with it
    assert isinstance(after, OutsideVideo) and isinstance(later, OutsideVideo)
    assert str(later) == "begins at 300 s, but the video ends at 20 s"


@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
def test_parts_that_overlap_or_are_equal_have_their_own_clips(drawn, decoder):
    parts = [Part(1, 9, "a"), Part(1, 9, "b"), Part(2, 3, "c"), Part(2, 10, "d")]
    a, b, c, d = decode(drawn("h264.mp4"), parts, decoder=decoder)
    assert np.array_equal(a.clips[0], b.clips[0])
    assert [found.count for found in (a, c, d)] == [96, 12, 96]
    assert not np.array_equal(a.clips[0], d.clips[0])


def test_windows_and_movement_are_found_within_a_part(drawn):
    path = drawn("h264.mp4")
    [several] = decode(path, [Part(4, 12, "a")], clip_shape(4, 32, 32, seconds=2.0), windows=3)
    assert len(several.clips) == 3
    for decoder in ("in_process", "ffmpeg"):
        [moving] = decode(path, [Part(4, 12, "a")], crop="motion", decoder=decoder)
        assert moving.clips[0].shape == (4, 32, 32, 3)
        if decoder == "in_process":
            first = moving
    assert np.array_equal(first.clips[0], moving.clips[0])


def test_a_limit_holds_for_each_part_and_not_for_all(drawn):
    path = drawn("h264.mp4")
    limits = {**transcoding().limits.model_dump(), "video_frames": 60}
    parts = [Part(start, start + 2, str(start)) for start in (0, 8, 16)]
    assert all(isinstance(found, DecodedVideo) for found in decode(path, parts, limits=limits))
    limits["video_frames"] = 16
    long, short = decode(path, [Part(0, 2, "a"), Part(2, 2.5, "b")], limits=limits)
    assert isinstance(long, DecodeError) and isinstance(short, DecodedVideo)


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"picture.gif", "vp8.webm"}))
def test_packets_tell_the_frames_of_what_people_record(drawn, name):
    path = drawn(name)
    video = PyavPartReader(path, transcoding().limits)
    picked = [
        frame.number
        for frame in video.pick([30, 31, 100], lambda _: [("format", "gray")], Budget(transcoding().limits))
    ]
    assert picked == [30, 31, 100]


@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
def test_a_part_without_an_end_goes_to_the_end_of_the_video(drawn, decoder):
    path = drawn("h264.mp4")
    opened, closed, late = decode(
        path, [Part(5, math.inf, "a"), Part(5, 20, "b"), Part(21, math.inf, "c")], decoder=decoder
    )
    assert np.array_equal(opened.clips[0], closed.clips[0])
    assert isinstance(late, OutsideVideo)


def test_a_part_that_is_damaged_is_dropped_though_the_file_as_a_whole_may_pass(drawn, tmp_path):
    data = bytearray(drawn("h264.mp4").read_bytes())
    start, noise = data.index(b"mdat"), np.random.default_rng(0)
    begin, end = (start + int((len(data) - start) * share) for share in (0.5, 0.54))
    data[begin:end] = noise.bytes(end - begin)
    (tmp_path / "damaged.mp4").write_bytes(data)
    parts = [Part(second, second + 1, str(second)) for second in range(20)]
    found = decode(tmp_path / "damaged.mp4", parts)
    whole = decode(drawn("h264.mp4"), parts)
    faulty = [place for place, one in enumerate(found) if isinstance(one, DecodeError)]
    assert faulty and len(faulty) < 6 and all(6 < place < 15 for place in faulty)
    for place, (one, other) in enumerate(zip(found, whole, strict=True)):
        if place not in faulty and not 6 < place < 15:
            assert isinstance(one, DecodedVideo) and np.array_equal(one.clips[0], other.clips[0])


@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
def test_packets_before_the_first_key_frame_of_a_recording_that_was_cut_are_no_damage_to_its_parts(
    drawn, tmp_path, decoder
):
    path, packets = tmp_path / "cut.ts", drawn("h264.ts").read_bytes()
    path.write_bytes(packets[len(packets) // 188 * 34 // 100 * 188 :])  # within the fourth of ten groups of 24 frames
    assert decode_video(path, SHAPE, transcoding(decoder=decoder), key="").count == 144
    [early, late] = decode(path, [Part(0, 2, "a"), Part(2, math.inf, "b")], decoder=decoder)
    assert (early.count, late.count) == (24, 120)
