"""The elements of an EBML document (RFC 8794), which Matroska and WebM files are."""

from collections.abc import Iterator
from typing import NamedTuple

VOID = {0xEC, 0xBF}  # elements without a meaning of their own: filling, checksum


class OddFile(Exception):
    """Not a plain WebM file; `av.open` may find a good video in it all the same."""


class Element(NamedTuple):
    id: int
    start: int  # of its content
    end: int


def elements(data: bytes, start: int, end: int) -> Iterator[Element]:
    """The elements that fill a stretch of the file exactly, their sizes known. Raises OddFile."""
    while start < end:
        id_length = 9 - data[start].bit_length()
        size_at = start + id_length
        if id_length > 4 or size_at >= end or not data[size_at]:
            raise OddFile(f"no element at {start}")
        content = size_at + 9 - data[size_at].bit_length()
        mask = (1 << 7 * (content - size_at)) - 1
        size = int.from_bytes(data[size_at:content]) & mask
        if size == mask or content + size > end:
            raise OddFile(f"the element at {start} has no end, or reaches too far")
        yield Element(int.from_bytes(data[start:size_at]), content, content + size)
        start = content + size


def number(data: bytes, element: Element) -> int:
    """The value of an element that holds a whole number. Raises OddFile."""
    if not 1 <= element.end - element.start <= 8:
        raise OddFile(f"element {element.id:x} is no number")
    return int.from_bytes(data[element.start : element.end])
