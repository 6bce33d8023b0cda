"""Starts ffmpeg, only here; and frames -> a video file, written atomically.

The binary is that of imageio-ffmpeg, never one installed on the machine: equal frames give equal bytes.
"""

import errno
import json
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import ffmpeg
import numpy as np

from pipeline.errors import UserError
from pipeline.files import atomic_write
from pipeline.records import Frames

Done = subprocess.CompletedProcess[bytes]
TAIL_BYTES = 4000  # of ffmpeg's messages: a broken file can provoke one per packet

Codec = Literal["vp9", "h264", "gif"]

# One thread each: with more, both encoders split frames by the number of cores, which changes the bytes.
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


class FfmpegError(UserError):
    """ffmpeg failed or timed out; `tail` holds the end of its messages, and the beginning if it was kept."""

    def __init__(self, reason: str, tail: str) -> None:
        super().__init__(f"{reason}: {tail}" if tail else reason)
        self.reason, self.tail = reason, tail


@cache
def find_executable() -> str:
    """Path of the ffmpeg binary."""
    package = find_spec("imageio_ffmpeg")
    folders = package.submodule_search_locations if package else None
    carried = [path for folder in folders or () for path in Path(folder, "binaries").glob("ffmpeg-*")]
    if len(carried) == 1 and not os.environ.get("IMAGEIO_FFMPEG_EXE"):
        return str(carried[0])
    import imageio_ffmpeg  # slow: starts the binary to test it, which takes as long as encoding a short clip

    return str(imageio_ffmpeg.get_ffmpeg_exe())


@cache
def read_program_version() -> str:
    """The version of the ffmpeg binary. Raises UserError if it does not run."""
    try:
        answer = subprocess.run([find_executable(), "-version"], capture_output=True, text=True, check=True, timeout=60)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise UserError(f"the ffmpeg in imageio-ffmpeg does not run ({error}); reinstall imageio-ffmpeg") from None
    return answer.stdout.split()[2]


def run(stream: Any, *, input: bytes | None = None, seconds: float) -> bytes:  # noqa: A002  as in subprocess
    """Run a command built with ffmpeg-python -> the bytes of its standard output.

    Raises FfmpegError if it fails or exceeds `seconds`, OSError if the disk is full.
    """
    done, messages = _call(stream, "error", input, seconds, TAIL_BYTES)
    if os.strerror(errno.ENOSPC) in messages:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return _check_output(done, messages)


def read_log(stream: Any, *, seconds: float, at_most: int) -> str:
    """Run a command -> the last `at_most` bytes of its log. Raises FfmpegError."""
    done, messages = _call(stream, "repeat+info", None, seconds, at_most)
    _check_output(done, messages)
    return messages


def _call(stream: Any, level: str, source: bytes | None, seconds: float, kept: int) -> tuple[Done, str]:
    quiet = [find_executable(), "-hide_banner", "-nostdin", "-nostats", "-loglevel", level]
    command = ffmpeg.compile(stream, cmd=quiet, overwrite_output=True)
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if source is None else {"input": source}
    with _collecting_tail(kept) as (messages, tail):
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=messages, timeout=seconds, check=False, **given
            )
        except subprocess.TimeoutExpired:
            raise FfmpegError(f"ffmpeg was not done after {seconds:g} seconds", "") from None
    return done, tail.decode(errors="replace").strip()


def _check_output(done: Done, messages: str) -> bytes:
    if done.returncode:
        head = messages[: min(TAIL_BYTES, len(messages) - TAIL_BYTES)] if len(messages) > TAIL_BYTES else ""
        raise FfmpegError(f"ffmpeg ended with code {done.returncode}", head + messages[-TAIL_BYTES:])
    return done.stdout


@contextmanager
def _collecting_tail(kept: int) -> Iterator[tuple[int, bytearray]]:
    """Yield a descriptor to write to and the last bytes written to it, complete once the block has ended."""
    reader, writer = os.pipe()
    tail = bytearray()

    def drain() -> None:
        while chunk := os.read(reader, 65536):
            tail.extend(chunk)
            del tail[:-kept]

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()
    try:
        yield writer, tail
    finally:
        os.close(writer)
        thread.join()
        os.close(reader)


def encode_frames(
    frames: Frames, path: Path, *, fps: int, codec: Codec, metadata: dict[str, Any] | None = None
) -> None:
    """Write uint8 `[T,H,W,3]` as WebM (vp9), MP4 (h264) or GIF; `metadata` goes into its comment as JSON.

    Chroma is 4:2:0 except in a GIF. H.264 requires even sizes, so the last row or column of odd ones is repeated.
    Raises OSError that names `path` if the disk is full or not writable, and FfmpegError.
    """
    if codec == "h264":
        frames = np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
    comment = json.dumps(metadata, sort_keys=True, ensure_ascii=False) if metadata else ""
    with atomic_write(path) as temporary:
        target = _describe_output("pipe:", frames, temporary, fps, codec, comment)
        try:
            temporary.touch()  # raises OSError if not writable; ffmpeg's own messages vary between platforms
            run(target.global_args(*ONE_THREAD), input=frames.tobytes(), seconds=60 + frames.size / 1e6)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
        except FfmpegError as error:
            raise FfmpegError(f"{path}: {error.reason}", error.tail) from None
        if comment and codec == "gif":
            temporary.write_bytes(_add_gif_comment(temporary.read_bytes(), comment))


def encode_clips(clips: Sequence[tuple[Frames, Path]], *, fps: int) -> None:
    """Write each clip uint8 `[T,H,W,3]` as WebM at its path: the bytes of `encode_frames`, by a single process.

    Starting ffmpeg takes as long as encoding a short clip.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        targets = []
        for number, (frames, path) in enumerate(clips):
            temporary = stack.enter_context(atomic_write(path))
            temporary.touch()
            pixels = folder / f"{number}.rgb"
            pixels.write_bytes(frames.tobytes())
            targets.append(_describe_output(f"file:{pixels}", frames, temporary, fps, "vp9", ""))
        size = sum(frames.size for frames, _ in clips)
        run(ffmpeg.merge_outputs(*targets).global_args(*ONE_THREAD), seconds=60 + size / 1e6)


def _describe_output(source: str, frames: Frames, target: Path, fps: int, codec: Codec, comment: str) -> Any:
    """The command that encodes the raw `frames` read from `source` into the file `target`."""
    _, height, width, _ = frames.shape
    stream = ffmpeg.input(source, format="rawvideo", pix_fmt="rgb24", video_size=(width, height), framerate=fps).video
    picture = _index_colours(stream) if codec == "gif" else stream.filter("scale", flags="bicubic+accurate_rnd")
    options = {**_OPTIONS[codec], "threads": 1, "fflags": "+bitexact", "flags:v": "+bitexact"}
    if comment and codec != "gif":
        options["metadata"] = f"comment={comment}"
    return picture.output(f"file:{target}", **options)  # the prefix keeps a colon from being read as a protocol


def _index_colours(source: Any) -> Any:
    """The stream with a palette of its 256 best colours; ordered dither does not flicker in still regions."""
    halves = source.filter_multi_output("split")
    palette = halves[0].filter("palettegen", stats_mode="full")
    return ffmpeg.filter([halves[1], palette], "paletteuse", dither="bayer", bayer_scale=4)


def _add_gif_comment(gif: bytes, comment: str) -> bytes:
    """The GIF with a comment extension before its first frame, which ffmpeg cannot write."""
    flags = gif[10]  # bit 7: a global palette follows the 13 header bytes; bits 0-2: its length
    start = 13 + (3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0)
    text = comment.encode()
    blocks = b"".join(bytes([len(text[i : i + 255])]) + text[i : i + 255] for i in range(0, len(text), 255))
    return gif[:start] + b"\x21\xfe" + blocks + b"\x00" + gif[start:]
