"""Left and right, up and down: the eight ways to hold a camera, however a file says which one it was."""

import io
import itertools

import ffmpeg
import numpy as np
import pytest
from PIL import Image
from settings import clip_shape, transcoding

from pipeline.video.decode import decode_video
from pipeline.video.ffmpeg import run
from pipeline.video.pixels import read_orientation

DECODERS = ["in_process", "ffmpeg"]
WAYS = list(itertools.product([0, 90, 180, 270], [False, True]))  # turned counter-clockwise, then mirrored

STORED = np.zeros((48, 64, 3), np.uint8)  # no two of its four quarters are alike
STORED[:24, :32] = 255, 0, 0
STORED[:24, 32:] = 0, 255, 0
STORED[24:, :32] = 0, 0, 255

# The ways by EXIF orientation; what the picture becomes is written out in the standard.
EXIF = {1: (0, False), 2: (0, True), 3: (180, False), 4: (180, True), 6: (270, False), 8: (90, False)}
EXIF |= {5: (270, True), 7: (90, True)}


def shown(angle, mirrored):
    """The picture in closed form."""
    turned = np.rot90(STORED, angle // 90)
    return turned[:, ::-1] if mirrored else turned


def store(path, **options):
    source = ffmpeg.input("pipe:", f="rawvideo", pix_fmt="rgb24", s="64x48", r=12)
    run(source.output(str(path), **options), input=STORED.tobytes() * 4, seconds=60)
    return path


def by_matrix(folder, angle, mirrored):
    """A lossless MOV file whose track header turns it."""
    flat = store(folder / "flat.mov", vcodec="qtrle")
    turning = {"display_rotation": angle, **({"display_hflip": None} if mirrored else {})}
    run(ffmpeg.input(str(flat), **turning).output(str(folder / "turned.mov"), c="copy"), seconds=60)
    return folder / "turned.mov"


def play(path):
    """The first frame as ffmpeg's program shows it of itself."""
    data = run(ffmpeg.input(str(path)).output("pipe:", f="image2pipe", vcodec="ppm", **{"frames:v": 1}), seconds=60)
    return np.asarray(Image.open(io.BytesIO(data)))


def decode(path, height, width, **options):
    (clip,) = decode_video(path, clip_shape(4, height, width), transcoding(**options), "").clips
    return clip


@pytest.mark.parametrize("crop", ["centre", "motion"])
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("angle", "mirrored"), WAYS)
def test_a_display_matrix_is_applied_as_a_player_does(tmp_path, angle, mirrored, decoder, crop):
    path, expected = by_matrix(tmp_path, angle, mirrored), shown(angle, mirrored)
    assert np.array_equal(play(path), expected)
    clip = decode(path, *expected.shape[:2], decoder=decoder, crop=crop)
    assert np.array_equal(clip, np.broadcast_to(expected, clip.shape))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("angle", "mirrored"), WAYS)
def test_an_orientation_message_with_the_first_frame_holds_for_all(tmp_path, angle, mirrored, decoder):
    """H.264 and HEVC have such a message; ffmpeg's program turns the one frame that it comes with."""
    message = f"h264_metadata=display_orientation=insert:rotate={angle}" + ":flip=horizontal" * mirrored
    path = store(tmp_path / "turned.mkv", vcodec="libx264rgb", crf=0, **{"bsf:v": message})
    expected = play(path)
    assert np.array_equal(expected, shown(-angle if mirrored else angle, mirrored))  # the flip comes first
    clip = decode(path, *expected.shape[:2], decoder=decoder)
    assert np.array_equal(clip, np.broadcast_to(expected, clip.shape))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("orientation", EXIF)
def test_cameras_that_write_jpegs_with_an_orientation(tmp_path, orientation, decoder):
    exif = Image.Exif()
    exif[0x112] = orientation
    picture = io.BytesIO()
    Image.fromarray(STORED).save(picture, "jpeg", quality=95, subsampling=0, exif=exif)
    source = ffmpeg.input("pipe:", f="image2pipe", vcodec="mjpeg", r=12)
    path = tmp_path / "camera.avi"
    run(source.output(str(path), c="copy"), input=picture.getvalue() * 4, seconds=60)
    expected = shown(*EXIF[orientation]).astype(int)
    assert np.abs(play(path) - expected).mean() < 2
    clip = decode(path, *expected.shape[:2], decoder=decoder)
    assert np.abs(clip - expected).mean() < 2


@pytest.mark.parametrize("matrix", [[0] * 9, [65536, 0, 0, 65536, 0, 0, 0, 0, 1 << 30], [2**31 - 1] * 9])
def test_a_matrix_that_flattens_the_picture_turns_nothing(matrix):
    rotation, mirrored = read_orientation(np.array(matrix, np.int32).tobytes())
    assert round(rotation / 90) % 4 == 0 and not mirrored
