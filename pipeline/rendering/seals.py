"""A seal at the end of a file: the digest of all its other bytes, so that a changed bit shows without making it again.

It stands where readers of each format pass over it, and proves no maker: whoever alters a file can seal it anew. That
is what signatures and making it again are for.
"""

import hashlib
import zlib
from dataclasses import dataclass

DIGITS = 64  # of a SHA-256 in hex


@dataclass(frozen=True, slots=True)
class _Place:
    """`before` + digest + `after` stand in front of the last `behind` bytes, instead of the bytes `replaced`."""

    before: bytes
    after: bytes = b""
    behind: int = 0
    replaced: bytes = b""

    def __len__(self) -> int:
        return len(self.before) + DIGITS + len(self.after)


_CHUNK = b"tEXtDigest\x00sha256:"
_PLACES = {
    ".png": _Place((len(_CHUNK) - 4 + DIGITS).to_bytes(4, "big") + _CHUNK, b"\0" * 4, behind=12),  # IEND comes last
    ".gif": _Place(b"\x21\xff\x0bt2v-seal1.0" + bytes([DIGITS]), b"\0", behind=1),
    ".mp4": _Place((8 + 7 + DIGITS).to_bytes(4, "big") + b"freesha256:"),
    ".npz": _Place((7 + DIGITS).to_bytes(2, "little") + b"sha256:", replaced=b"\0\0"),  # the comment of an archive
    ".html": _Place(b"<!-- sha256:", b" -->\n"),
}
KINDS = tuple(_PLACES)


def seal(data: bytes, kind: str) -> bytes:
    """The file with a seal; `kind` is its ending, one of KINDS. It must not have one."""
    place = _PLACES[kind]
    cut = len(data) - place.behind
    head = data[:cut].removesuffix(place.replaced)
    digest = hashlib.sha256(data).hexdigest().encode()
    after = zlib.crc32(_CHUNK + digest).to_bytes(4, "big") if kind == ".png" else place.after
    return head + place.before + digest + after + data[cut:]


def unseal(data: bytes, kind: str) -> bytes | None:
    """The file as it was before it was sealed; None where it has no seal, or one that the bytes do not fit."""
    place = _PLACES[kind]
    cut = len(data) - place.behind
    bare = data[: cut - len(place)] + place.replaced + data[cut:]
    return bare if has_seal(data, kind) and seal(bare, kind) == data else None


def has_seal(data: bytes, kind: str) -> bool:
    """Whether there is a seal, right or wrong."""
    place = _PLACES[kind]
    start = len(data) - place.behind - len(place)
    return start >= 0 and data[start : start + len(place.before)] == place.before
