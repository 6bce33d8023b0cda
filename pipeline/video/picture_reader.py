"""A clip whose frames are pictures (JPEG, PNG or WebP), of which only the wanted ones are decoded."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from pipeline.params import LimitParams
from pipeline.sources.limits import SourceFault
from pipeline.sources.pictures import Pictures
from pipeline.video import FilterChoice, FrameChoice, FramesRead, PickedFrame, collect_frames
from pipeline.video.ffmpeg_decoder import FfmpegReader
from pipeline.video.frame_filters import Scaler, describe_frame, find_orientation
from pipeline.video.limits import Budget, DecodeError
from pipeline.video.picture_headers import PictureHeader, read_header
from pipeline.video.pyav_decoder import refusing
from pipeline.video.timing import Timeline

ENDINGS = {"mjpeg": "jpg", "png": "png", "webp": "webp"}  # by which ffmpeg knows what a picture is
STRICT = {"err_detect": "crccheck+explode"}  # else what is cut off is filled up with grey
USUAL_RATE = 24.0  # frames per second, where nobody says and it hardly matters
STEPS = 1000  # of a stamp per picture, so that the times count as exact
SQUARE = Fraction(1)  # whatever a picture says about the shape of its pixels: no viewer of pictures minds it


class PictureReader:
    """The pictures of a clip, decoded in this process."""

    def __init__(self, pictures: Pictures, limits: LimitParams, rate: float | None) -> None:
        """`rate` is in frames per second."""
        self._pictures, self._limits = pictures, limits
        unit = 1 / (Fraction(str(rate or USUAL_RATE)) * STEPS)
        self._timeline = Timeline([stamp * STEPS for stamp in pictures.numbered.stamps], unit)
        budget = Budget(limits)
        for _ in pictures.numbered.names:
            budget.add(0, 0)

    def read(self, choose: FrameChoice, filters: FilterChoice) -> FramesRead:
        """Decode the chosen pictures. Raises DecodeError."""
        numbers = sorted({*choose(self._timeline)} & {*range(len(self._timeline.stamps))})
        return collect_frames(self.pick(numbers, filters, Budget(self._limits)), self._timeline)

    def read_timeline(self) -> Timeline:
        """When each picture is shown."""
        return self._timeline

    def pick(self, numbers: Sequence[int], filters: FilterChoice, budget: Budget) -> Iterator[PickedFrame]:
        """The pictures of these ascending numbers. Raises DecodeError."""
        scaler = Scaler(filters)
        for number, content, header in self._load(numbers, budget):
            frame = _decode(content, header, self._limits, self._pictures.numbered.names[number])
            picture = describe_frame(frame, SQUARE, *find_orientation(frame))
            yield PickedFrame(number, scaler(frame, picture), picture)

    def _load(self, numbers: Sequence[int], budget: Budget) -> Iterator[tuple[int, bytes, PictureHeader]]:
        """The bytes of pictures. Raises DecodeError where two differ in their size or in how they are turned."""
        first: tuple[str, PictureHeader] | None = None
        for number in numbers:
            name = self._pictures.numbered.names[number]
            try:
                content = self._pictures.read(name)
                header = read_header(content)
            except (SourceFault, DecodeError) as fault:
                raise DecodeError(f"{name}: {fault}") from None
            first = first or (name, header)
            if header[1:] != first[1][1:]:
                raise DecodeError(f"{_describe(*first)}, but {_describe(name, header)}")
            budget.add(header.width, header.height)
            yield number, content, header


class FfmpegPictureReader(PictureReader):
    """The pictures of a clip, decoded by the ffmpeg program, for which the wanted ones are copied."""

    def pick(self, numbers: Sequence[int], filters: FilterChoice, budget: Budget) -> Iterator[PickedFrame]:
        """The pictures of these ascending numbers. Raises DecodeError, also where they are not all of one kind."""
        if not numbers:
            return
        with _folder(self._pictures.scratch) as folder:
            codecs = set()
            for place, (_, content, header) in enumerate(self._load(numbers, budget)):
                codecs.add(header.codec)
                (folder / f"{place:05}.{ENDINGS[header.codec]}").write_bytes(content)
            if len(codecs) > 1:
                kinds = " and ".join(sorted(codecs))
                raise DecodeError(f"its pictures are {kinds}; transcode.decoder in_process can follow it")
            path = Path(str(folder).replace("%", "%%"), f"%05d.{ENDINGS[codecs.pop()]}")
            read = _ImageSequence(path, self._limits).read(lambda _: range(len(numbers)), filters)
        if len(read.frames) < len(numbers):
            raise DecodeError(f"damaged: {len(numbers) - len(read.frames)} of {len(numbers)} pictures")
        for place, number in enumerate(numbers):
            yield PickedFrame(number, read.frames[place], read.pictures[place])


class _ImageSequence(FfmpegReader):
    """Numbered pictures as ffmpeg reads them."""

    demuxing: ClassVar[Mapping[str, object]] = {
        "f": "image2",
        "pattern_type": "sequence",
        "start_number": 0,
        "format_whitelist": "image2",
        "codec_whitelist": ",".join(ENDINGS),
        **STRICT,
    }

    def __init__(self, path: Path, limits: LimitParams) -> None:
        super().__init__(path, limits)
        self._pictures = [replace(picture, pixel_aspect=SQUARE) for picture in self._pictures]


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
    """Yield an empty folder; a caged process may not remove it, so the next one has another name."""
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".pictures-", dir=scratch))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
