"""Messages from a possibly compromised child process to its parent: a kind, JSON and bytes, of bounded size.

They are neither executed nor trusted: a message that is too long, of an unknown kind or not JSON raises BadAnswer.
"""

import fcntl
import json
import math
import os
import select
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from pipeline.errors import escape_controls

READY, STEP, ANSWER, ERROR = b"r", b"s", b"a", b"e"
MESSAGE_KINDS = (READY, STEP, ANSWER, ERROR)

MAX_JSON = 1 << 22  # bytes
MAX_TEXT = 4000  # characters of a message to the user
PIPE_BYTES = 1 << 20  # buffer of a pipe, so that the child seldom blocks
LOOK_SECONDS = 0.25  # interval of calls of `look`

_HEADER = struct.Struct("<cIQ")  # kind, bytes of JSON, bytes that follow it


class BadAnswer(Exception):
    """A child's message is malformed or cannot be true."""


class AnswerTimeout(Exception):
    """A child did not answer in time."""


class Message(NamedTuple):
    """One well-formed message; the receiver must check the JSON value."""

    kind: bytes
    value: Any
    content: bytearray


class Sender:
    """The child's end of a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)

    def send(self, kind: bytes, value: object, contents: Sequence[memoryview] = ()) -> None:
        """Send JSON and bytes. Raises BrokenPipeError if the parent is gone."""
        text = json.dumps(value).encode()
        self._write(_HEADER.pack(kind, len(text), sum(content.nbytes for content in contents)) + text)
        for content in contents:
            self._write(content.cast("B"))

    def _write(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]


class Receiver:
    """The parent's end of a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._reading = threading.Lock()  # `close` may come from another thread
        self._closed = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        _enlarge(descriptor)

    def receive(self, seconds: float | None, max_bytes: int, look: Callable[[], None] | None = None) -> Message:
        """The next message, with at most `max_bytes` after its JSON; `look` is called regularly while waiting.

        Raises AnswerTimeout after `seconds`, EOFError if the child has ended or the pipe is closed meanwhile, and
        BadAnswer.
        """
        with self._reading:
            return self._receive(math.inf if seconds is None else time.monotonic() + seconds, max_bytes, look)

    def close(self) -> None:
        """Close the pipe, after the end of any `receive` in progress, since the descriptor may be reused."""
        self._closed = True
        with self._reading:
            os.close(self._descriptor)

    def _receive(self, end: float, max_bytes: int, look: Callable[[], None] | None) -> Message:
        kind, length, following = _HEADER.unpack(self._read(_HEADER.size, end, look))
        if kind not in MESSAGE_KINDS or length > MAX_JSON or following > max_bytes:
            raise BadAnswer(f"a message of kind {kind!r} with {length:,} and {following:,} bytes")
        try:
            value = json.loads(self._read(length, end, look))
        except (ValueError, RecursionError):
            raise BadAnswer("a message that is not JSON") from None
        return Message(kind, value, self._read(following, end, look))

    def _read(self, length: int, end: float, look: Callable[[], None] | None) -> bytearray:
        data = bytearray(length)
        left = memoryview(data)
        while left:
            self._wait(end, look)
            count = os.readv(self._descriptor, [left])
            if not count:
                raise EOFError
            left = left[count:]
        return data

    def _wait(self, end: float, look: Callable[[], None] | None) -> None:
        while True:
            left = end - time.monotonic()
            if self._closed:
                raise EOFError
            if left <= 0:
                raise AnswerTimeout
            if self._poll.poll(min(left, LOOK_SECONDS) * 1000):
                return
            if look:
                look()


def check_text(value: object) -> str:
    """A text to display, with control characters escaped, and truncated. Raises BadAnswer if it is not a string."""
    if not isinstance(value, str):
        raise BadAnswer("a value that is not a text")
    return escape_controls(value[:MAX_TEXT])


def pack_texts(texts: Sequence[str]) -> bytes:
    """A separator that occurs in none of the texts, and the texts joined by it: for many, faster than JSON."""
    if not texts:
        return b""
    joined = ((separator, separator.join(texts)) for separator in map(chr, range(sys.maxunicode)))
    separator, whole = next(pair for pair in joined if pair[1].count(pair[0]) == len(texts) - 1)
    return (separator + whole).encode("utf-8", "surrogatepass")  # file names that are not UTF-8 contain lone surrogates


def unpack_texts(data: memoryview | bytearray) -> list[str]:
    """The inverse of `pack_texts`. Raises UnicodeDecodeError."""
    text = str(data, "utf-8", "surrogatepass")
    return text[1:].split(text[0]) if text else []


def split_content(content: bytearray, lengths: object, count: int) -> list[memoryview]:
    """Split the bytes of a message into `count` parts of these untrusted lengths. Raises BadAnswer."""
    if not isinstance(lengths, list) or len(lengths) != count or not {*map(type, lengths)} <= {int}:
        raise BadAnswer(f"invalid lengths of {count:,} parts")
    ends = [*accumulate(lengths, initial=0)]
    if min(lengths, default=0) < 0 or ends[-1] != len(content):
        raise BadAnswer(f"{len(content):,} bytes, which do not match the lengths of {count:,} parts")
    view = memoryview(content)
    return [view[start:end] for start, end in pairwise(ends)]


def _enlarge(descriptor: int) -> None:
    if sys.platform == "linux":
        with suppress(PermissionError):  # the user has too many pipes
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
