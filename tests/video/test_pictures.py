"""Clips whose frames are pictures, against Pillow as another reader of pictures."""

import io
import struct

import numpy as np
import pytest
from pictures import draw_picture, number_names, read_folder_as_members, write_pictures, write_tar, write_zip
from PIL import Image, ImageOps
from settings import clip_shape, transcoding

from pipeline.sources import open_video
from pipeline.sources.common import SourceFault
from pipeline.video import DecodeError
from pipeline.video.decode import DecodedVideo, Part, decode_parts, decode_video
from pipeline.video.picture_reader import read_picture_header
from pipeline.video.timeline import ShortClip

DECODERS = ("in_process", "ffmpeg")
SHAPE = clip_shape(4, 48, 64)
EXIF = Image.Exif()
EXIF[0x112] = 6
KINDS = {
    "jpeg": ("f_{}.jpg", "RGB", {"quality": 95}, 0.6),
    "progressive": ("{:05}.jpeg", "RGB", {"quality": 95, "progressive": True}, 0.6),
    "full": ("{:05}.jpg", "RGB", {"quality": 100, "subsampling": 0}, 0.6),
    "grey": ("{:05}.jpg", "L", {"quality": 95}, 0.1),
    "cmyk": ("{:05}.jpg", "CMYK", {"quality": 95}, 1.5),
    "png": ("{:05}.png", "RGB", {}, 0),
    "alpha": ("{:05}.png", "RGBA", {}, 0),
    "palette": ("{:05}.png", "P", {}, 0),
    "webp": ("{:05}.webp", "RGB", {"quality": 95}, 1),
    "lossless": ("{:05}.webp", "RGB", {"lossless": True}, 0),
    "bmp": ("{:05}.bmp", "RGB", {}, 0),
    "bmp_alpha": ("{:05}.BMP", "RGBA", {}, 0),
    "bmp_palette": ("{:05}.bmp", "P", {}, 0),
    "tiff": ("{:05}.tif", "RGB", {}, 0),
    "tiff_lzw": ("{:05}.tiff", "RGB", {"compression": "tiff_lzw"}, 0),
    "tiff_grey": ("{:05}.tif", "L", {"compression": "packbits"}, 0),
    "tiff_alpha": ("{:05}.tif", "RGBA", {"compression": "tiff_adobe_deflate"}, 0),
}
TURNED = {
    "jpeg": ("{:05}.jpg", "RGB", {"quality": 95}, 0.6),
    "png": ("{:05}.png", "RGB", {}, 0),
    "webp": ("{:05}.webp", "RGB", {"lossless": True}, 0),
    "tiff": ("{:05}.tif", "RGB", {"compression": "tiff_lzw"}, 0),
}


def decode(videos, video, shape=SHAPE, **options):
    with open_video(videos, video, videos / "scratch") as source:
        return decode_video(source, shape, transcoding(**options), key="a")


def show(path):
    """A picture as Pillow shows it."""
    with Image.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB")).astype(int)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_decoded_as_another_program_does_and_alike_by_both_decoders(tmp_path, kind):
    form, mode, options, most = KINDS[kind]
    files = write_pictures(tmp_path / "clip", number_names(8, form), mode, **options)
    pattern = f"clip/{form.replace('{}', '*').replace('{:05}', '*')}"
    one, other = (decode(tmp_path, pattern, decoder=name) for name in DECODERS)
    assert one.count == other.count == 8
    np.testing.assert_array_equal(one.clips, other.clips)
    expected = np.stack([show(files[number]) for number in (1, 3, 5, 7)])
    assert np.abs(one.clips[0] - expected).mean() <= most


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", TURNED)
def test_orientation_of_exif_turns_pictures(tmp_path, kind, orientation):
    form, mode, options, most = TURNED[kind]
    exif = Image.Exif()
    exif[0x112] = orientation
    files = write_pictures(tmp_path / "clip", number_names(4, form), mode, exif=exif, **options)
    pattern = f"clip/*.{form.rpartition('.')[2]}"
    shape = clip_shape(4, 48, 64) if orientation < 5 else clip_shape(4, 64, 48)
    one, other = (decode(tmp_path, pattern, shape, decoder=name) for name in DECODERS)
    np.testing.assert_array_equal(one.clips, other.clips)
    assert np.abs(one.clips[0] - np.stack([show(file) for file in files])).mean() <= most


def test_motion_crop_follows_pictures_alike_in_both_decoders(tmp_path):
    for number, name in enumerate(number_names(8, "{:02}.png")):
        picture = np.zeros((40, 120, 3), np.uint8)
        picture[10:30, 80 + number * 3 : 90 + number * 3] = 255
        (tmp_path / "clip").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "clip" / name)
    shape = clip_shape(8, 40, 40)
    one, other = (decode(tmp_path, "clip/*.png", shape, decoder=name, crop="motion") for name in DECODERS)
    np.testing.assert_array_equal(one.clips, other.clips)
    assert one.clips[0].max() == 255
    assert decode(tmp_path, "clip/*.png", shape).clips[0].max() == 0


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("place", ["folder", "zip", "tar", "tgz"])
def test_pictures_in_an_archive_are_the_same_clip(tmp_path, decoder, place):
    write_pictures(tmp_path / "set/clip", number_names(8))
    members = read_folder_as_members(tmp_path / "set")
    write_zip(tmp_path / "zip.zip", members)
    write_tar(tmp_path / "tar.tar", members)
    write_tar(tmp_path / "tgz.tgz", members, "w:gz")
    video = "set/clip/*.jpg" if place == "folder" else f"{place}.{place}/clip/*.jpg"
    whole = decode(tmp_path, "set/clip/*.jpg")
    np.testing.assert_array_equal(decode(tmp_path, video, decoder=decoder).clips, whole.clips)
    assert not [*(tmp_path / "scratch").glob(".*")]


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_missing_picture_is_bridged_by_the_one_before(tmp_path, decoder):
    files = write_pictures(tmp_path / "clip", number_names(40, "{:02}.png"))
    files[19].unlink()
    shape = clip_shape(20, 48, 64, spread="time")
    clip = decode(tmp_path, "clip/*.png", shape, decoder=decoder)
    shown = [2 * place + 1 if place != 9 else 18 for place in range(20)]
    np.testing.assert_array_equal(clip.clips[0], [np.asarray(draw_picture(number)) for number in shown])
    assert clip.count == 39


def test_a_rate_makes_seconds_of_pictures(tmp_path):
    write_pictures(tmp_path / "clip", number_names(40, "{:02}.png"))
    shape = clip_shape(4, 48, 64, seconds=2.0)
    clip = decode(tmp_path, "clip/*.png", shape, picture_rate=10.0, windows=2)
    expected = np.stack([np.asarray(draw_picture(number)) for number in (2, 7, 12, 17)])
    np.testing.assert_array_equal(clip.clips[0], expected)
    assert len(clip.clips) == 2
    with pytest.raises(DecodeError, match=r"no frame rate of their own; set transcode\.picture_rate"):
        decode(tmp_path, "clip/*.png", shape)


def test_parts_of_a_folder_are_cut_by_the_rate(tmp_path):
    write_pictures(tmp_path / "clip", number_names(40, "{:02}.png"))
    parts = [Part(1.0, 2.0, "a"), Part(3.0, 4.0, "b")]
    with open_video(tmp_path, "clip/*.png", tmp_path) as source:
        found = list(decode_parts(source, parts, clip_shape(5, 48, 64), transcoding(picture_rate=10.0)))
    for part, numbers in zip(found, ((11, 13, 15, 17, 19), (31, 33, 35, 37, 39)), strict=True):
        assert isinstance(part, DecodedVideo)
        np.testing.assert_array_equal(part.clips[0], [np.asarray(draw_picture(number)) for number in numbers])


@pytest.mark.parametrize("decoder", DECODERS)
def test_one_picture_is_too_short_or_stands_still(tmp_path, decoder):
    write_pictures(tmp_path / "clip", ["1.png"])
    with pytest.raises(ShortClip, match="1 frame, fewer than the 4"):
        decode(tmp_path, "clip/*.png", decoder=decoder)
    clip = decode(tmp_path, "clip/*.png", decoder=decoder, short_clips="repeat_last")
    np.testing.assert_array_equal(clip.clips[0], np.stack([np.asarray(draw_picture(0))] * 4))


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-40])


def empty(path):
    path.write_bytes(b"")


def make_text(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\n")


def enlarge(path):
    draw_picture(1, (60, 80)).save(path)


def turn(path):
    draw_picture(1).save(path, exif=EXIF)


BAD = {
    cut_off: "00003.",
    make_text: "00003.* is a pointer of Git LFS",
    enlarge: "00001.* is 64x48, but 00003.* is 80x60",
    turn: "00001.* is 64x48, but 00003.* is 64x48, orientation 6",
}


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    ("ending", "change", "told"),
    [
        (ending, change, told)
        for ending in ("jpg", "png", "webp", "bmp", "tif")
        for change, told in BAD.items()
        if (ending, change) != ("bmp", turn)  # it states no orientation
    ],
)
def test_a_bad_picture_drops_the_clip_with_its_name(tmp_path, decoder, ending, change, told):
    files = write_pictures(tmp_path / "clip", number_names(4, "{:05}." + ending))
    change(files[2])
    told = "Decode error|Invalid|code" if (decoder, change) == ("ffmpeg", cut_off) else told
    with pytest.raises((DecodeError, SourceFault), match=told):
        decode(tmp_path, f"clip/*.{ending}", decoder=decoder)


def test_pictures_of_two_kinds_are_for_one_decoder(tmp_path):
    files = write_pictures(tmp_path / "clip", number_names(4, "{:05}.png"))
    draw_picture(2).save(files[2], "JPEG", quality=95)  # called .png all the same
    with pytest.raises(DecodeError, match=r"mjpeg and png; transcode\.decoder in_process can follow it"):
        decode(tmp_path, "clip/*.png", decoder="ffmpeg")
    clip = decode(tmp_path, "clip/*.png")
    assert np.abs(clip.clips[0] - np.stack([show(file) for file in files])).mean() < 1


@pytest.mark.parametrize("decoder", DECODERS)
def test_limits_hold_for_pictures(tmp_path, decoder):
    write_pictures(tmp_path / "clip", number_names(8))
    limits = transcoding().limits
    for limit, value, told in (
        ("video_frames", 7, "longer than 7 frames"),
        ("video_pixels", 48 * 64 * 3, "pixels"),
        ("frame_pixels", 1000, None),
    ):
        changed = limits.model_copy(update={limit: value}).model_dump()
        with pytest.raises(DecodeError, match=told):
            decode(tmp_path, "clip/*.jpg", decoder=decoder, limits=changed)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 8])
def test_headers_say_what_another_reader_says(kind, lossless, orientation):
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x10F], exif[0x112] = "a maker", orientation
    draw_picture(1, (35, 51)).save(file, kind, exif=exif, **({"lossless": lossless} if kind == "WEBP" else {}))
    header = read_picture_header(file.getvalue())
    assert header[1:] == (51, 35, orientation)
    for length in (0, 3, 9, 15):
        with pytest.raises(DecodeError):
            read_picture_header(file.getvalue()[:length])


def test_rows_of_a_bitmap_may_go_down_and_the_oldest_header_has_short_sides():
    info = b"BM" + bytes(12) + struct.pack("<I2i", 40, 51, -35)
    core = b"BM" + bytes(12) + struct.pack("<I2H", 12, 51, 35)
    assert read_picture_header(info) == read_picture_header(core) == ("bmp", 51, 35, 1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("subfile", "told"), [(0, "holds several pictures"), (1, "")])
def test_a_stack_of_images_in_one_file_is_no_frame_unless_it_holds_smaller_copies(order, subfile, told):
    def pack(entries, following):
        packed = b"".join(struct.pack(f"{order}2H2I", tag, 4, 1, value) for tag, value in entries.items())
        return struct.pack(f"{order}H", len(entries)) + packed + struct.pack(f"{order}I", following)

    first = pack({0x100: 51, 0x101: 35, 0x111: 0}, 8 + 42)
    content = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8) + first + pack({0xFE: subfile}, 0)
    if not told:
        assert read_picture_header(content) == ("tiff", 51, 35, 1)
        return
    with pytest.raises(DecodeError, match=told):
        read_picture_header(content)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_tiff_whose_pixels_are_damaged_is_no_frame(tmp_path, decoder):
    files = write_pictures(tmp_path / "clip", number_names(4, "{:05}.tif"), compression="tiff_lzw")
    content = files[2].read_bytes()
    files[2].write_bytes(content[:500] + bytes(range(100)) + content[600:])
    with pytest.raises(DecodeError, match=r"Invalid|Decode error"):
        decode(tmp_path, "clip/*.tif", decoder=decoder)


@pytest.mark.parametrize(("compression", "number"), [("jpeg", 7), ("lzma", 34925)])
def test_a_tiff_in_a_compression_that_is_not_decoded_right_says_how_to_save_it(compression, number):
    file = io.BytesIO()
    draw_picture(1).save(file, "TIFF", compression=compression)
    with pytest.raises(DecodeError, match=f"TIFF with compression {number}; save it with LZW, deflate or none"):
        read_picture_header(file.getvalue())


def test_a_tiff_in_tiles_says_how_to_save_it():
    entries = [(0x100, 64), (0x101, 48), (0x144, 200)]
    packed = b"".join(struct.pack("<2H2I", tag, 4, 1, value) for tag, value in entries)
    with pytest.raises(DecodeError, match="stored in tiles, which FFmpeg does not read; save it with strips"):
        read_picture_header(b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4))
