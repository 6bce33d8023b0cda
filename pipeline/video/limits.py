"""What an untrusted video file may be and may cost, whatever its header says; and whether it is truncated."""

from pathlib import Path
from typing import BinaryIO

from pipeline.params import LimitParams

# Demuxers and decoders by FFmpeg's names. A playlist, a script or a stream description is in neither list, so it opens
# nothing; a rare decoder, where most faults hide, is not even tried.
CONTAINERS = "matroska,webm,mov,mp4,avi,flv,mpeg,mpegvideo,mpegts,ogg,asf,gif"
CODECS = (
    "av1,libdav1d,ffv1,flv,gif,h263,h264,hevc,mjpeg,mpeg1video,mpeg2video,mpeg4,msmpeg4,msmpeg4v1,msmpeg4v2,prores,"
    "qtrle,rawvideo,theora,vc1,vp6f,vp8,vp9,wmv1,wmv2,wmv3"
)
REFUSED_SHARE = 0.1  # of the packets: a decoder may refuse these, more means that the motion is damaged

EBML = b"\x1a\x45\xdf\xa3"
SEGMENT = b"\x18\x53\x80\x67"
MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"sidx", b"styp", b"uuid", b"meta", b"mfra"}


class DecodeError(Exception):
    """A file that is no video, or a video that cannot be decoded within the limits."""


def open_options(limits: LimitParams) -> dict[str, str]:
    """Options of FFmpeg, the same for library and program, that open local files of known kinds only."""
    return {
        "protocol_whitelist": "file",
        "format_whitelist": CONTAINERS,
        "codec_whitelist": CODECS,
        "max_pixels": str(limits.frame_pixels),
    }


def check_file(path: Path) -> None:
    """Raise DecodeError where a decoder could hang on what is no regular file."""
    if not path.is_file():
        raise DecodeError("no such file, or not a regular one")


class Budget:
    """Counts the frames and pixels of a video against the limits."""

    def __init__(self, limits: LimitParams) -> None:
        self._limits = limits
        self._frames = 0
        self._pixels = 0

    def add(self, width: int, height: int) -> None:
        """Count one more frame. Raises DecodeError beyond a limit."""
        self._frames += 1
        self._pixels += width * height
        frames, pixels = self._limits.video_frames, self._limits.video_pixels
        if self._frames > frames or self._pixels > pixels:
            raise DecodeError(
                f"longer than {frames} frames or {pixels} pixels; cut it into clips, or raise transcode.limits"
            )


def read_stated_length(path: Path) -> int | None:
    """The length in bytes that a Matroska, WebM or MP4 file states; None where it states none, or is something else."""
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(0)
        if head[:4] == EBML:
            return _read_matroska_length(file)
        return _read_mp4_length(file, path.stat().st_size) if head[4:] in MP4_BOXES else None


def _read_matroska_length(file: BinaryIO) -> int | None:
    """End of the segment; unknown in a live recording."""
    file.seek(4)
    header = read_ebml_size(file)
    if header is None:
        return None
    file.seek(header, 1)
    if file.read(4) != SEGMENT:
        return None
    size = read_ebml_size(file)
    return None if size is None else file.tell() + size


def read_ebml_size(file: BinaryIO) -> int | None:
    """A number of 1 to 8 bytes, of which the leading zero bits tell how many; all ones means unknown."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    following = 8 - first[0].bit_length()
    mask = (1 << (7 * (following + 1))) - 1
    value = int.from_bytes(first + file.read(following)) & mask
    return None if value == mask else value


def _read_mp4_length(file: BinaryIO, length: int) -> int | None:
    """End of the last known box; a box of size 0 reaches to the end, one of size 1 has its size in 8 more bytes."""
    end = 0
    while end < length:
        file.seek(end)
        head = file.read(16)
        size = int.from_bytes(head[:4])
        if size == 1:
            size = int.from_bytes(head[8:16])
        if head[4:8] not in MP4_BOXES or size < 8:
            return None
        end += size
    return end
