"""Pictures of phones and cameras with more colours than a screen: compared with zscale, which the program has."""

import ffmpeg
import numpy as np
import pytest
from settings import clip_shape, transcoding

from pipeline.video.decode import decode_video
from pipeline.video.ffmpeg import run
from pipeline.video.pixels import BT709, BT2020, DISPLAY_P3, HLG, NARROW, PQ, SRGB, Colour, convert_to_srgb, read_colour

KINDS = {
    "hlg": ("bt2020", "arib-std-b67", "bt2020nc"),
    "pq": ("bt2020", "smpte2084", "bt2020nc"),
    "p3": ("smpte432", "iec61966-2-1", "bt709"),
    "p3_of_phones": ("smpte432", "bt709", "bt709"),
}


def draw_srgb():
    """A still picture, and its pixels."""
    drawing = ffmpeg.input("testsrc2=s=128x96:r=12", f="lavfi").filter("gblur", 2)
    data = run(drawing.output("pipe:", f="rawvideo", pix_fmt="rgb24", **{"frames:v": 1}), seconds=60)
    return data, np.frombuffer(data, np.uint8).reshape(96, 128, 3).astype(int)


def store(path, data, kind):
    """The picture as a video of another colour space, its white at 203 nits."""
    primaries, transfer, matrix = KINDS[kind]
    curve = transfer if transfer == "bt709" else "iec61966-2-1"
    source = ffmpeg.input("pipe:", f="rawvideo", pix_fmt="rgb24", s="128x96", r=12).filter("format", "gbrp")
    tagged = source.filter("setparams", color_primaries="bt709", color_trc=curve, colorspace="gbr", range="pc")
    linear = tagged.filter("zscale", t="linear", npl=203).filter("format", "gbrpf32le")
    coded = linear.filter("zscale", p=primaries, t=transfer, m=matrix, r="tv", npl=203).filter("format", "yuv444p10le")
    options = {"color_primaries": primaries, "color_trc": transfer, "colorspace": matrix, "color_range": "tv"}
    run(coded.output(str(path), vcodec="libx264", crf=1, **options), input=data * 4, seconds=60)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_wide_colours_come_out_as_those_of_a_screen(tmp_path, kind):
    data, expected = draw_srgb()
    path = store(tmp_path / "wide.mp4", data, kind)
    clips = [
        decode_video(path, clip_shape(4, 96, 128), transcoding(decoder=decoder), "").clips[0]
        for decoder in ("in_process", "ffmpeg")
    ]
    assert np.array_equal(*clips)
    assert np.abs(clips[0] - expected).mean() < 2


@pytest.mark.parametrize("kind", ["hlg", "pq"])
def test_wide_colours_agree_with_zscale_and_tonemap(tmp_path, kind):
    path = store(tmp_path / "wide.mp4", draw_srgb()[0], kind)
    linear = ffmpeg.input(str(path)).filter("zscale", t="linear", npl=203).filter("format", "gbrpf32le")
    mapped = linear.filter("zscale", p="bt709").filter("tonemap", tonemap="clip")
    shown = mapped.filter("zscale", t="iec61966-2-1", m="gbr", r="full").filter("format", "gbrp")
    pixels = run(shown.output("pipe:", f="rawvideo", pix_fmt="rgb24", **{"frames:v": 1}), seconds=60)
    clip = decode_video(path, clip_shape(1, 96, 128), transcoding(), "").clips[0]
    assert np.abs(clip[0].astype(int) - np.frombuffer(pixels, np.uint8).reshape(96, 128, 3)).mean() < 2


@pytest.mark.parametrize("levels", ["tv", "pc"])
@pytest.mark.parametrize("name", ["libvpx.webm", "libvpx-vp9.webm", "libvpx-vp9.mp4"])
def test_a_container_states_the_colours_of_frames_that_do_not(tmp_path, name, levels):
    """The frames are BT.709, which VP8 has no words for, and VP9 was not told: without the container they are off."""
    data, expected = draw_srgb()
    source = ffmpeg.input("pipe:", f="rawvideo", pix_fmt="rgb24", s="128x96", r=12)
    coded = source.filter("scale", out_color_matrix="bt709", out_range=levels).filter("format", "yuv420p")
    untagged = coded.filter("setparams", colorspace="unknown", range="unknown")
    bare, path = tmp_path / f"bare_{name}", tmp_path / name
    codec = {"vcodec": name.split(".")[0], "crf": 4, "video_bitrate": "9M"}
    run(untagged.output(str(bare), **codec), input=data * 4, seconds=60)
    tags = {"colorspace": "bt709", "color_range": levels, "color_primaries": "bt709", "color_trc": "bt709"}
    run(ffmpeg.input(str(bare)).output(str(path), c="copy", **tags), seconds=60)
    clips = [
        decode_video(path, clip_shape(4, 96, 128), transcoding(decoder=decoder), "").clips[0]
        for decoder in ("in_process", "ffmpeg")
    ]
    assert np.array_equal(*clips)
    run(coded.output(str(tmp_path / "own.mkv"), vcodec="ffv1", **tags), seconds=60, input=data * 4)
    own, without = (
        decode_video(file, clip_shape(4, 96, 128), transcoding(), "").clips[0].astype(int)
        for file in (tmp_path / "own.mkv", bare)
    )
    assert np.abs(own - expected).mean() < 4  # what half the colours are worth
    assert np.abs(clips[0] - own).mean() < 1.5
    assert np.abs(without - own).mean() > 5


UNTAGGED = {  # sizes, and how the picture was made: HD is 1280 wide or 720 high
    "camera.mp4": ("1280x720", {"vcodec": "libx264"}),
    "portrait.mp4": ("720x1280", {"vcodec": "libx264"}),
    "cropped.mkv": ("1280x532", {"vcodec": "libx264"}),
    "old.avi": ("1280x720", {"vcodec": "mpeg4", "q:v": 2}),
    "vp9.webm": (
        "1280x720",
        {"vcodec": "libvpx-vp9", "deadline": "realtime", "crf": 8, "video_bitrate": 0},
    ),
    "small.mp4": ("1024x576", {"vcodec": "libx264"}),
    "tagged.mp4": ("1280x720", {"vcodec": "libx264", "colorspace": "smpte170m"}),
    "stated.webm": ("1280x720", {"vcodec": "libvpx", "deadline": "realtime", "cpu-used": 8, "video_bitrate": "9M"}),
}


@pytest.mark.parametrize("name", UNTAGGED)
def test_untagged_hd_is_read_as_one_chooses_and_all_else_as_it_says(tmp_path, name):
    """Bars of one colour, made to YUV by either matrix: the right one gives them back."""
    size, options = UNTAGGED[name]
    chosen = name not in ("small.mp4", "tagged.mp4", "stated.webm")
    bars = np.array([[200, 40, 40], [40, 180, 60], [60, 60, 220], [220, 200, 40]])
    width, height = map(int, size.split("x"))
    picture = np.repeat(bars.astype(np.uint8), width // 4, axis=0)[None].repeat(height, axis=0)
    source = ffmpeg.input("pipe:", f="rawvideo", pix_fmt="rgb24", s=size, r=12)
    for matrix in ("bt601", "bt709"):
        coded = source.filter("scale", out_color_matrix=matrix, flags="accurate_rnd").filter("format", "yuv420p")
        untagged = coded.filter("setparams", colorspace="unknown")
        path = tmp_path / f"{matrix}_{name}"
        run(untagged.output(str(path), **options), input=picture.tobytes() * 2, seconds=60)
        for untagged_hd in ("bt601", "bt709"):
            clips = [
                decode_video(
                    path, clip_shape(2, 32, 64), transcoding(decoder=decoder, untagged_hd=untagged_hd, crop=crop), ""
                ).clips[0]
                for decoder in ("in_process", "ffmpeg")
                for crop in (("centre", "motion") if name == "camera.mp4" else ("centre",))
            ]
            assert all(np.array_equal(clip, clips[0]) for clip in clips)
            error = np.abs(clips[0][0, 16, 8::16] - bars).max()
            assert (error < 9) == (matrix == (untagged_hd if chosen else "bt601")), (matrix, untagged_hd, error)


def test_plain_colours_are_left_alone():
    assert read_colour(BT709, BT2020, 9) == read_colour(6, 5, 6) == read_colour(SRGB, BT709, 1) == NARROW
    wide = read_colour(PQ, BT2020, 9), read_colour(1, DISPLAY_P3, 1), read_colour(HLG, 2, 2)
    assert all(colour.wide for colour in wide)


@pytest.mark.parametrize("colour", [Colour(PQ, BT2020), Colour(HLG, BT2020), Colour(SRGB, DISPLAY_P3)])
def test_black_is_black_grey_stays_grey_and_the_brightest_is_white(colour):
    pixels = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16)[None, :, None], 3, axis=2)
    shown = convert_to_srgb(pixels, colour).astype(int)
    assert np.ptp(shown, axis=2).max() <= 1
    assert shown[0, 0].max() == 0 and shown[0, -1].min() == 255
    assert (np.diff(shown[0, :, 0]) >= 0).all()


def test_the_white_of_high_dynamic_range_is_203_nits():
    """Codes of the standards: 58 % of PQ, 75 % of HLG."""
    for colour, code in ((Colour(PQ, BT2020), 0.5807), (Colour(HLG, BT2020), 0.75)):
        pixels = np.full((1, 1, 3), round(code * 65535), np.uint16)
        assert convert_to_srgb(pixels, colour).min() >= 253
