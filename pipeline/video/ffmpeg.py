"""The only place that starts ffmpeg: the static binary of imageio-ffmpeg, never one installed on the machine."""

import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ffmpeg

from pipeline.errors import UserError

Done = subprocess.CompletedProcess[bytes]
TAIL_BYTES = 4000  # of ffmpeg's messages: a broken file can provoke one per packet


class FfmpegError(Exception):
    """ffmpeg failed or ran too long; `tail` holds the last of its messages, and the first where all are known."""

    def __init__(self, reason: str, tail: str) -> None:
        super().__init__(f"{reason}: {tail}" if tail else reason)
        self.tail = tail


@cache
def find_executable() -> str:
    """Path of the ffmpeg binary."""
    package = find_spec("imageio_ffmpeg")
    folders = package.submodule_search_locations if package else None
    carried = [path for folder in folders or () for path in Path(folder, "binaries").glob("ffmpeg-*")]
    if len(carried) == 1 and not os.environ.get("IMAGEIO_FFMPEG_EXE"):
        return str(carried[0])
    import imageio_ffmpeg  # starts the binary, only to see that it starts, which takes as long as a short clip

    return str(imageio_ffmpeg.get_ffmpeg_exe())


@cache
def read_program_version() -> str:
    """Which FFmpeg the binary is. Raises UserError where it does not run."""
    try:
        answer = subprocess.run([find_executable(), "-version"], capture_output=True, text=True, check=True, timeout=60)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise UserError(f"the ffmpeg in imageio-ffmpeg does not run ({error}); install imageio-ffmpeg anew") from None
    return answer.stdout.split()[2]


def run(stream: Any, *, input: bytes | None = None, seconds: float) -> bytes:  # noqa: A002  as in subprocess
    """Run a command built with ffmpeg-python -> the bytes of its standard output.

    Raises FfmpegError when it fails or is not done after `seconds`, OSError when the disk is full.
    """
    done, messages = _call(stream, "error", input, seconds, TAIL_BYTES)
    if os.strerror(errno.ENOSPC) in messages:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return _check_output(done, messages)


def listen(stream: Any, *, seconds: float, at_most: int) -> str:
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
