"""Clips whose frames are image files (JPEG, PNG, WebP, BMP, TIFF): only the wanted images are read and decoded."""

import shutil
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, NamedTuple

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from pipeline.params import LimitParams
from pipeline.sources.common import SourceFault
from pipeline.sources.pictures import Pictures
from pipeline.video import Budget, DecodeError, FilterChoice, FrameChoice, FramesRead, PickedFrame, collect_frames
from pipeline.video.ffmpeg_decoder import FfmpegReader
from pipeline.video.pixels import Scaler, describe_frame
from pipeline.video.pyav_decoder import refusing
from pipeline.video.timeline import Timeline
from pipeline.video.truncation import PNG

JPEG, WEBP, BMP, TIFF = b"\xff\xd8\xff", b"RIFF", b"BM", (b"II*\0", b"MM\0*")
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of a JPEG's frame headers
BARE = {1, *range(0xD0, 0xD9)}  # markers without a length
SCAN, EXIF = 0xDA, 0xE1
CORE_BYTES = 12  # length of the oldest header of BMP, with 16-bit sides
BYTE_ORDERS = {b"II": "<", b"MM": ">"}  # of TIFF, and of EXIF, which has the same layout
SHORT = 3  # the type of 16-bit numbers
SUBFILE, WIDTH, HEIGHT, COMPRESSION, STRIPS, ORIENTATION = 0xFE, 0x100, 0x101, 0x103, 0x111, 0x112
# Tags of TIFF about the layout of the pixels: bits, colours, order of bits, strips, planes, fax options, predictor,
# palette, subsampling. With STRICT, FFmpeg refuses tags that it does not know, so others than these are removed.
LAYOUT = {
    *(WIDTH, HEIGHT, COMPRESSION, STRIPS),
    *(0x102, 0x106, 0x10A, 0x115, 0x116, 0x117, 0x11C, 0x124, 0x125, 0x13D, 0x140, 0x212),
}
COMPRESSIONS = {1, 2, 3, 4, 5, 8, 32773, 32946}  # none, fax, LZW, deflate, PackBits; FFmpeg gives wrong pixels for JPEG
REDUCED = 1  # flag of SUBFILE: a smaller copy of another image of the file

IMAGE_FORMATS = {"mjpeg": "jpg", "png": "png", "webp": "webp", "bmp": "bmp", "tiff": "tif"}  # codec -> suffix
STRICT = {"err_detect": "crccheck+explode"}  # else truncated images are filled with grey
USUAL_RATE = 24.0  # frames per second, if the rate is not set, in which case it hardly matters
STEPS = 1000  # of a timestamp per image, so that times count as exact
SQUARE = Fraction(1)  # the pixel aspect that images state is ignored, as by all viewers

# Orientation of EXIF and TIFF -> degrees counter-clockwise that make an image upright, and whether it is mirrored.
UPRIGHT = {
    1: (0, False),
    2: (180, True),
    3: (180, False),
    4: (0, True),
    5: (270, True),
    6: (270, False),
    7: (90, True),
    8: (90, False),
}


class PictureHeader(NamedTuple):
    """The header of an image."""

    codec: str  # FFmpeg's name
    width: int  # pixels, as stored
    height: int
    orientation: int  # of EXIF or TIFF: 1 to 8, 1 is upright


def read_picture_header(content: bytes) -> PictureHeader:
    """Parse the header of an image. Raises DecodeError if it has another format, or is truncated or damaged."""
    try:
        if content.startswith(JPEG):
            return _read_jpeg(content)
        if content.startswith(PNG):
            return _read_png(content)
        if content.startswith(WEBP) and content[8:12] == b"WEBP":
            return _read_webp(content)
        if content.startswith(BMP):
            return _read_bmp(content)
        if content.startswith(TIFF):
            return _read_tiff(content)
    except (struct.error, IndexError, KeyError):
        raise DecodeError("its header is not whole") from None
    raise DecodeError("it is not a JPEG, PNG, WebP, BMP or TIFF image")


def _read_jpeg(content: bytes) -> PictureHeader:
    orientation, at = 1, 2
    while True:
        if content[at] != 0xFF:
            raise DecodeError("its header is damaged")
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in BARE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        if marker in FRAMES:
            height, width = struct.unpack_from(">2H", content, at + 5)
            return PictureHeader("mjpeg", width, height, orientation)
        if marker == SCAN:
            raise DecodeError("it has no frame header")
        if marker == EXIF and content[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _read_orientation(content[at + 10 : at + 2 + length])
        at += 2 + length


def _read_png(content: bytes) -> PictureHeader:
    width, height = struct.unpack_from(">2I", content, 16)
    chunks = _walk_chunks(content, len(PNG), ">I4s", 4)
    exif = next((body for name, body in chunks if name == b"eXIf"), b"")
    return PictureHeader("png", width, height, _read_orientation(exif))


def _read_webp(content: bytes) -> PictureHeader:
    size, exif = None, b""
    for name, body in _walk_chunks(content, 12, "<4sI", 0):
        if name == b"VP8X":
            width, height = (1 + int.from_bytes(body[start : start + 3], "little") for start in (4, 7))
            size = width, height
        elif name == b"VP8L" and size is None:
            (bits,) = struct.unpack_from("<I", body, 1)
            size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif name == b"VP8 " and size is None:
            width, height = struct.unpack_from("<2H", body, 6)
            size = width & 0x3FFF, height & 0x3FFF
        elif name == b"EXIF":
            exif = body.removeprefix(b"Exif\0\0")
    if size is None:
        raise DecodeError("it has no frame header")
    return PictureHeader("webp", *size, _read_orientation(exif))


def _read_bmp(content: bytes) -> PictureHeader:
    (length,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<2H" if length == CORE_BYTES else "<2i", content, 18)
    return PictureHeader("bmp", width, abs(height), 1)  # a negative height means that rows go from top to bottom


def _read_tiff(content: bytes) -> PictureHeader:
    """The header of the first image. Raises DecodeError if others follow, except for smaller copies of it."""
    order = BYTE_ORDERS[content[:2]]
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    entries = [*_walk_tags(content, order, start)]
    (following,) = struct.unpack_from(f"{order}I", content, start + 2 + 12 * len(entries))
    if following and not dict(_walk_tags(content, order, following)).get(SUBFILE, 0) & REDUCED:
        raise DecodeError("it holds several pictures; write each of them to a file of its own")
    tags = dict(entries)
    if tags.get(COMPRESSION, 1) not in COMPRESSIONS:
        raise DecodeError(f"it is TIFF with compression {tags[COMPRESSION]}; save it with LZW, deflate or none")
    if STRIPS not in tags:
        raise DecodeError("its pixels are stored in tiles, which FFmpeg does not read; save it with strips")
    return PictureHeader("tiff", tags[WIDTH], tags[HEIGHT], _check_orientation(tags.get(ORIENTATION, 1)))


def _walk_chunks(content: bytes, at: int, layout: str, after: int) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each chunk, each followed by `after` bytes; those of WebP are padded to an even length."""
    while at + 8 <= len(content):
        one, other = struct.unpack_from(layout, content, at)
        name, length = (one, other) if isinstance(one, bytes) else (other, one)
        yield name, content[at + 8 : at + 8 + length]
        at += 8 + length + after + (length % 2 if not after else 0)


def _read_orientation(tiff: bytes) -> int:
    """The orientation in an EXIF block; 1 if it has none, or is damaged."""
    order = BYTE_ORDERS.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        return _check_orientation(next(value for tag, value in _walk_tags(tiff, order, start) if tag == ORIENTATION))
    except (struct.error, StopIteration):
        return 1


def _walk_tags(tiff: bytes, order: str, start: int) -> Iterator[tuple[int, int]]:
    """Tag and first number of each entry of the image directory at `start`; numbers of other types are meaningless."""
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(f"{order}2H", tiff, at)
        (number,) = struct.unpack_from(f"{order}{'H' if kind == SHORT else 'I'}", tiff, at + 8)
        yield tag, number


def _strip_tags(tiff: bytes) -> bytes:
    """The same TIFF image without other tags than LAYOUT, and without further images."""
    order = BYTE_ORDERS[tiff[:2]]
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    tags = [tag for tag, _ in _walk_tags(tiff, order, start)]
    kept = [at for at, tag in zip(range(start + 2, len(tiff), 12), tags, strict=False) if tag in LAYOUT]
    directory = struct.pack(f"{order}H", len(kept)) + b"".join(tiff[at : at + 12] for at in kept) + bytes(4)
    return tiff[:start] + directory + tiff[start + len(directory) :]


def _check_orientation(value: int) -> int:
    return value if 1 <= value <= 8 else 1


class PictureReader:
    """The images of a clip, decoded in this process."""

    def __init__(self, pictures: Pictures, limits: LimitParams, rate: float | None) -> None:
        """`rate` is in frames per second."""
        self._pictures, self._limits = pictures, limits
        unit = 1 / (Fraction(str(rate or USUAL_RATE)) * STEPS)
        self._timeline = Timeline([timestamp * STEPS for timestamp in pictures.numbered.timestamps], unit)
        budget = Budget(limits)
        for _ in pictures.numbered.names:
            budget.add(0, 0)

    def read(self, choose: FrameChoice, filters: FilterChoice) -> FramesRead:
        """Decode the chosen images. Raises DecodeError."""
        numbers = sorted({*choose(self._timeline)} & {*range(len(self._timeline.timestamps))})
        return collect_frames(self.pick(numbers, filters, Budget(self._limits)), self._timeline)

    def read_timeline(self) -> Timeline:
        """The times of all images."""
        return self._timeline

    def pick(self, numbers: Sequence[int], filters: FilterChoice, budget: Budget) -> Iterator[PickedFrame]:
        """The images at these ascending indices. Raises DecodeError."""
        scaler = Scaler(filters)
        for number, content, header in self._load(numbers, budget):
            frame = _decode(content, header, self._limits, self._pictures.numbered.names[number])
            picture = describe_frame(frame, SQUARE, *UPRIGHT[header.orientation])
            yield PickedFrame(number, scaler(frame, picture), picture)

    def _load(self, numbers: Sequence[int], budget: Budget) -> Iterator[tuple[int, bytes, PictureHeader]]:
        """Read images. Raises DecodeError if they differ in size or orientation."""
        first: tuple[str, PictureHeader] | None = None
        for number in numbers:
            name = self._pictures.numbered.names[number]
            try:
                content = self._pictures.read(name)
                header = read_picture_header(content)
            except (SourceFault, DecodeError) as fault:
                raise DecodeError(f"{name}: {fault}") from None
            first = first or (name, header)
            if header[1:] != first[1][1:]:
                raise DecodeError(f"{_describe(*first)}, but {_describe(name, header)}")
            budget.add(header.width, header.height)
            yield number, _strip_tags(content) if header.codec == "tiff" else content, header


class FfmpegPictureReader(PictureReader):
    """The images of a clip, decoded by the ffmpeg program from copies of the wanted ones."""

    def pick(self, numbers: Sequence[int], filters: FilterChoice, budget: Budget) -> Iterator[PickedFrame]:
        """The images at these ascending indices. Raises DecodeError, also if their formats differ."""
        if not numbers:
            return
        with _folder(self._pictures.scratch) as folder:
            headers: dict[str, PictureHeader] = {}
            for index, (_, content, header) in enumerate(self._load(numbers, budget)):
                headers[header.codec] = header
                (folder / f"{index:05}.{IMAGE_FORMATS[header.codec]}").write_bytes(content)
            if len(headers) > 1:
                kinds = " and ".join(sorted(headers))
                raise DecodeError(f"its pictures are {kinds}; transcode.decoder in_process can follow it")
            path = Path(str(folder).replace("%", "%%"), f"%05d.{IMAGE_FORMATS[header.codec]}")
            read = _ImageSequence(path, header, self._limits).read(lambda _: range(len(numbers)), filters)
        if len(read.frames) < len(numbers):
            raise DecodeError(f"damaged: {len(numbers) - len(read.frames)} of {len(numbers)} pictures")
        for index, number in enumerate(numbers):
            yield PickedFrame(number, read.frames[index], read.pictures[index])


class _ImageSequence(FfmpegReader):
    """Numbered images, read by ffmpeg."""

    demuxing: ClassVar[Mapping[str, object]] = {
        "f": "image2",
        "pattern_type": "sequence",
        "start_number": 0,
        "format_whitelist": "image2",
        "codec_whitelist": ",".join(IMAGE_FORMATS),
        **STRICT,
    }

    def __init__(self, path: Path, header: PictureHeader, limits: LimitParams) -> None:
        """All images have the size and orientation of `header`."""
        super().__init__(path, limits)
        rotation, mirrored = UPRIGHT[header.orientation]
        self._pictures = [
            replace(picture, pixel_aspect=SQUARE, rotation=rotation, mirrored=mirrored) for picture in self._pictures
        ]


def _decode(content: bytes, header: PictureHeader, limits: LimitParams, name: str) -> VideoFrame:
    decoder = av.CodecContext.create(header.codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.options = {"max_pixels": str(limits.frame_pixels), **STRICT}
    decoder.thread_count = 1
    with refusing(lambda error: DecodeError(f"{name}: {error.strerror}")):
        frames = [*decoder.decode(Packet(content)), *decoder.decode(None)]
    if len(frames) != 1:
        raise DecodeError(f"{name}: holds {len(frames)} pictures")
    return frames[0]


def _describe(name: str, header: PictureHeader) -> str:
    turned = f", orientation {header.orientation}" if header.orientation != 1 else ""
    return f"{name} is {header.width}x{header.height}{turned}"


@contextmanager
def _folder(scratch: Path) -> Iterator[Path]:
    """Yield an empty folder; names are unique, since a sandboxed process may not remove the folder."""
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".pictures-", dir=scratch))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
