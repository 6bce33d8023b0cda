"""Limits on untrusted videos: which containers and codecs are accepted, and how many frames and pixels."""

from pathlib import Path

from pipeline.params import LimitParams

# Demuxers and decoders by FFmpeg's names. A playlist, a script or a stream description is in neither list, so it opens
# nothing; a rare decoder, where most faults hide, is not even tried.
CONTAINERS = "matroska,webm,mov,mp4,avi,flv,mpeg,mpegvideo,mpegts,ogg,asf,gif,apng,dv,webp_anim"
CODECS = (
    "apng,av1,cinepak,dnxhd,dvvideo,ffv1,ffvhuff,flv,gif,h263,h264,hevc,huffyuv,libdav1d,mjpeg,mpeg1video,mpeg2video,"
    "mpeg4,msmpeg4,msmpeg4v1,msmpeg4v2,prores,qtrle,rawvideo,theora,vc1,vp6f,vp8,vp9,webp_anim,wmv1,wmv2,wmv3"
)
REFUSED_SHARE = 0.1  # of the packets: a decoder may refuse these, more means that the motion is damaged


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


def refuse_container() -> DecodeError:
    """The refusal of a container outside the list."""
    return DecodeError(f"its container is none of {CONTAINERS}, or its header is damaged")


def refuse_codec(name: str) -> DecodeError:
    """The refusal of a codec outside the list."""
    return DecodeError(f"its codec is {name}, not one of {CODECS}")


def check_damage(damaged: int, refused: int) -> None:
    """Raise DecodeError where more frames are damaged than packets are missing, whose loss explains as many."""
    if damaged > refused:
        raise DecodeError(f"damaged: {damaged} frames show what was not stored")


class Budget:
    """Counts the frames and pixels of a video against the limits."""

    def __init__(self, limits: LimitParams) -> None:
        self._most_frames, self._most_pixels = limits.video_frames, limits.video_pixels
        self._frames = 0
        self._pixels = 0

    def renew(self) -> None:
        """Count from nothing again, for the next part of a video."""
        self._frames = self._pixels = 0

    def add(self, width: int, height: int) -> None:
        """Count one more frame. Raises DecodeError beyond a limit."""
        self._frames += 1
        self._pixels += width * height
        if self._frames > self._most_frames or self._pixels > self._most_pixels:
            raise DecodeError(
                f"longer than {self._most_frames} frames or {self._most_pixels} pixels; cut it into clips, or raise "
                "transcode.limits"
            )
