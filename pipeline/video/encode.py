"""Frames -> one video file, written whole or not at all; equal frames give equal bytes."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import ffmpeg
import numpy as np

from pipeline.files import replacing
from pipeline.records import Frames
from pipeline.video.ffmpeg import run

Codec = Literal["vp9", "h264", "gif"]

# One thread each: with more, both encoders cut the picture by the number of cores and the bytes follow.
_OPTIONS: dict[Codec, dict[str, Any]] = {
    "vp9": {
        "format": "webm",
        "vcodec": "libvpx-vp9",
        "pix_fmt": "yuv420p",
        "crf": 24,
        "video_bitrate": 0,
        "deadline": "realtime",
        "cpu-used": 8,
        "lag-in-frames": 0,
        "g": 9999,
    },
    "h264": {
        "format": "mp4",
        "vcodec": "libx264",
        "pix_fmt": "yuv420p",
        "crf": 16,
        "preset": "medium",
        "movflags": "+faststart",
    },
    "gif": {"format": "gif", "loop": 0},
}

ONE_THREAD = ("-filter_threads", "1")


def encode_frames(
    frames: Frames, path: Path, *, fps: int, codec: Codec, metadata: dict[str, Any] | None = None
) -> None:
    """Write uint8 `[T,H,W,3]` as WebM (vp9), MP4 (h264) or GIF; `metadata` goes into its comment as JSON.

    Chroma is 4:2:0 except in a GIF. H.264 has even sizes only, so an odd edge is repeated there. Raises OSError, which
    names `path`, where there is no room or no right to write, and FfmpegError.
    """
    if codec == "h264":
        frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    comment = json.dumps(metadata, sort_keys=True, ensure_ascii=False) if metadata else ""
    with replacing(path) as temporary:
        target = _describe_output("pipe:", frames, temporary, fps, codec, comment)
        try:
            temporary.touch()  # ffmpeg does not say why it cannot write a file in a way that is the same everywhere
            run(target.global_args(*ONE_THREAD), input=frames.tobytes(), seconds=60 + frames.size / 1e6)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
        if comment and codec == "gif":
            temporary.write_bytes(_add_gif_comment(temporary.read_bytes(), comment))


def encode_clips(clips: Sequence[tuple[Frames, Path]], *, fps: int) -> None:
    """Write each clip uint8 `[T,H,W,3]` as WebM at its path: the bytes of `encode_frames`, by one ffmpeg for all.

    It takes as long to start as to encode a short clip.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        targets = []
        for number, (frames, path) in enumerate(clips):
            temporary = stack.enter_context(replacing(path))
            temporary.touch()
            pixels = folder / f"{number}.rgb"
            pixels.write_bytes(frames.tobytes())
            targets.append(_describe_output(f"file:{pixels}", frames, temporary, fps, "vp9", ""))
        size = sum(frames.size for frames, _ in clips)
        run(ffmpeg.merge_outputs(*targets).global_args(*ONE_THREAD), seconds=60 + size / 1e6)


def _describe_output(source: str, frames: Frames, target: Path, fps: int, codec: Codec, comment: str) -> Any:
    """The raw `frames` that are read at `source`, encoded into the file `target`."""
    _, height, width, _ = frames.shape
    stream = ffmpeg.input(source, format="rawvideo", pix_fmt="rgb24", video_size=(width, height), framerate=fps).video
    picture = _index_colours(stream) if codec == "gif" else stream.filter("scale", flags="bicubic+accurate_rnd")
    options = {**_OPTIONS[codec], "threads": 1, "fflags": "+bitexact", "flags:v": "+bitexact"}
    if comment and codec != "gif":
        options["metadata"] = f"comment={comment}"
    return picture.output(f"file:{target}", **options)  # the prefix keeps a colon from being read as a protocol


def _index_colours(source: Any) -> Any:
    """The stream with its 256 best colours; ordered dither stands still where the picture does."""
    halves = source.filter_multi_output("split")
    palette = halves[0].filter("palettegen", stats_mode="full")
    return ffmpeg.filter([halves[1], palette], "paletteuse", dither="bayer", bayer_scale=4)


def _add_gif_comment(gif: bytes, comment: str) -> bytes:
    """The same GIF with a comment extension before its first frame; ffmpeg writes none."""
    flags = gif[10]  # bit 7: a global palette follows the 13 header bytes; bits 0-2: its length
    start = 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
    text = comment.encode()
    blocks = b"".join(bytes([len(text[i : i + 255])]) + text[i : i + 255] for i in range(0, len(text), 255))
    return gif[:start] + b"\x21\xfe" + blocks + b"\x00" + gif[start:]
