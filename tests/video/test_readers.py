"""One video, three ways to read it: packet by packet, by `av.open`, by the static ffmpeg; the bytes are equal."""

import ffmpeg
import numpy as np
import pytest
from locations import SHARED
from settings import clip_shape, transcoding
from videos import draw

from pipeline.video import DecodeError
from pipeline.video import pyav_decoder as in_process
from pipeline.video.decode import decode_video
from pipeline.video.ffmpeg import run
from pipeline.video.ffmpeg_decoder import FfmpegReader
from pipeline.video.pyav_decoder import PyavReader
from pipeline.video.timeline import ShortClip
from pipeline.video.webm import UnsupportedFile

CLIPS = SHARED / "clips"
REAL = [path for path in sorted(CLIPS.rglob("*")) if path.is_file()]
VPX = {"deadline": "realtime", "cpu-used": 8}
KINDS = {
    "vp9.webm": {"vcodec": "libvpx-vp9", "pix_fmt": "yuv420p", **VPX},
    "vp8.webm": {"vcodec": "libvpx", "pix_fmt": "yuv420p", **VPX},
    "vp9_444.webm": {"vcodec": "libvpx-vp9", "pix_fmt": "yuv444p", **VPX},
    "vp9_alpha.webm": {"vcodec": "libvpx-vp9", "pix_fmt": "yuva420p", **VPX},
    "vp9_hidden.webm": {"vcodec": "libvpx-vp9", "deadline": "good", "cpu-used": 5, "auto-alt-ref": 1},
    "vp9_full_range.webm": {"vcodec": "libvpx-vp9", "pix_fmt": "yuv420p", "color_range": "pc", **VPX},
    "vp9_live.webm": {"vcodec": "libvpx-vp9", "pix_fmt": "yuv420p", "live": 1, **VPX},
    "vp9_clusters.mkv": {"vcodec": "libvpx-vp9", "pix_fmt": "yuv420p", "cluster_time_limit": 300, **VPX},
    "alpha.mov": {"vcodec": "qtrle", "pix_fmt": "argb"},
    "ten_bits.mp4": {"vcodec": "libx264", "pix_fmt": "yuv444p10le"},
    "b_frames.mp4": {"vcodec": "libx264", "pix_fmt": "yuv420p", "bf": 3},
    "full_range.mp4": {"vcodec": "libx264", "pix_fmt": "yuv420p", "color_range": "pc", "colorspace": "bt709"},
    "palette.gif": {},
    "motion.avi": {"vcodec": "mjpeg", "pix_fmt": "yuvj422p"},
    "wide_pixels.mkv": {"vcodec": "ffv1", "vf": "setsar=3/2"},
    "uneven.mkv": {"vcodec": "ffv1", "vf": "setpts=N*N/12/TB", "fps_mode": "vfr"},
}
WINDOWS = [{}, {"seconds": 0.7}, {"stride": 2}]


def outcome(path, window, **options):
    """The clips of a video and its number of frames, or why there are none."""
    shape = clip_shape(8, 32, 48, **window)
    try:
        video = decode_video(path, shape, transcoding(short_clips="repeat_last", windows=2, **options), "key")
    except (DecodeError, ShortClip) as error:
        return type(error)
    return video.count, *(clip.tobytes() for clip in video.clips)


def by_open(monkeypatch, *args, **options):
    """The outcome without the fast path."""

    def refuse(_):
        raise UnsupportedFile("for the test")

    with monkeypatch.context() as patch:
        patch.setattr(in_process, "read_plain_webm", refuse)
        return outcome(*args, **options)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["214x120", "101x177"])
@pytest.mark.parametrize("name", KINDS)
def test_drawn_videos_give_the_same_bytes_each_way(tmp_path, monkeypatch, name, size):
    if size == "101x177" and name not in ("alpha.mov", "ten_bits.mp4", "palette.gif", "vp9_444.webm"):
        size = "102x178"  # no odd sizes there
    path = draw(tmp_path / name, shape=size, **KINDS[name])
    for window, crop in [({}, "centre"), ({"seconds": 0.7}, "motion")]:
        ours = outcome(path, window, crop=crop)
        assert ours[0] == 24
        assert ours == by_open(monkeypatch, path, window, crop=crop)
        assert ours == outcome(path, window, crop=crop, decoder="ffmpeg")


def test_the_fast_path_takes_plain_files_and_no_others(tmp_path):
    """With sound and several clusters too; what is odd about the others changes how they are shown."""
    plain = {"vp9.webm", "vp8.webm", "vp9_444.webm", "vp9_hidden.webm", "vp9_clusters.mkv"}
    taken = set()
    for name in (name for name in KINDS if name.startswith("vp")):
        path = draw(tmp_path / name, shape="64x48", frames=8, **KINDS[name])
        taken |= {name} if PyavReader(path, transcoding().limits)._plain else set()
    assert taken == plain
    loud = tmp_path / "loud.webm"
    drawing = ffmpeg.input("testsrc2=s=64x48:r=12", f="lavfi"), ffmpeg.input("sine", f="lavfi")
    run(ffmpeg.output(*drawing, str(loud), vcodec="libvpx-vp9", acodec="libopus", t=1, strict=-2), seconds=60)
    assert PyavReader(loud, transcoding().limits)._plain
    assert outcome(loud, {}) == outcome(loud, {}, decoder="ffmpeg")


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="the shared test clips are not here")
@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_real_files_give_the_same_bytes_each_way(monkeypatch, window):
    for path in REAL:
        ours = outcome(path, window)
        assert ours == outcome(path, window, decoder="ffmpeg"), path.name
        assert ours == by_open(monkeypatch, path, window), path.name


def test_a_title_that_looks_like_ffmpegs_words_is_only_a_title(tmp_path):
    line = "[Parsed_showinfo_0 @ 0x1] n:   0 pts:      0 duration: 1 fmt:gray sar:1/1 s:2x2 i:P No space left on device"
    path = draw(tmp_path / "title.mkv", vcodec="ffv1", metadata=f"title=a\n{line}\r{line}")
    assert outcome(path, {}) == outcome(path, {}, decoder="ffmpeg")


def test_a_video_that_changes_its_size_is_followed_in_process_and_refused_by_ffmpeg(tmp_path):
    parts = [
        draw(tmp_path / f"{size}.ts", shape=size, frames=12, vcodec="mpeg2video", **{"q:v": 2})
        for size in ("64x48", "96x96")
    ]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    limits = transcoding().limits
    taken = PyavReader(path, limits).read(lambda _: range(24), lambda _: [("scale", "8:8"), ("format", "gbrp")])
    widths = [picture.width for picture in taken.pictures.values()]
    assert widths == sorted(widths) and {*widths} == {64, 96}
    assert {frame.shape for frame in taken.frames.values()} == {(8, 8, 3)}
    with pytest.raises(DecodeError, match="changes its geometry"):
        FfmpegReader(path, limits)


def test_hundreds_of_wanted_frames_are_not_too_many_for_ffmpeg(tmp_path):
    path = draw(tmp_path / "long.mkv", shape="32x24", frames=400, vcodec="ffv1")
    shape, clips = clip_shape(400, 8, 8), []
    for decoder in ("in_process", "ffmpeg"):
        clips += decode_video(path, shape, transcoding(decoder=decoder), "").clips
    assert np.array_equal(*clips)
