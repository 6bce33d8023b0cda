"""AVI and Ogg files written packet by packet: with frames that are left out, repeated or packed together."""

import struct
from pathlib import Path

import av


def read_packets(path: Path) -> list[bytes]:
    """The packets of the video stream."""
    with av.open(path) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def write_avi(path: Path, chunks: list[bytes], codec: bytes, rate: int, side: int) -> Path:
    """An AVI file of these chunks, one for each tick of the clock; an empty one repeats the frame before."""
    header = struct.pack("<14I", 1_000_000 // rate, 0, 0, 0x10, len(chunks), 0, 1, 2**16, side, side, *[0] * 4)
    counts = 1, rate, 0, len(chunks), 2**16, 2**32 - 1, 0
    stream = struct.pack("<4s4sIHHI7I4H", b"vids", codec, 0, 0, 0, 0, *counts, 0, 0, side, side)
    picture = struct.pack("<IiiHH4sIiiII", 40, side, side, 1, 24, codec, side * side * 3, 0, 0, 0, 0)
    index, movie = b"", b"movi"
    for number, chunk in enumerate(chunks):
        index += struct.pack("<4sIII", b"00dc", 0x10 * (number == 0), len(movie), len(chunk))
        movie += _pack_chunk(b"00dc", chunk)
    streams = _pack_chunk(b"LIST", b"strl" + _pack_chunk(b"strh", stream) + _pack_chunk(b"strf", picture))
    headers = _pack_chunk(b"LIST", b"hdrl" + _pack_chunk(b"avih", header) + streams)
    content = b"AVI " + headers + _pack_chunk(b"LIST", movie) + _pack_chunk(b"idx1", index)
    path.write_bytes(_pack_chunk(b"RIFF", content))
    return path


def _pack_chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def pack_b_frames(packets: list[bytes]) -> list[bytes]:
    """MPEG-4 as DivX put it into AVI: a B-frame beside the frame that it needs, then a chunk without a picture."""
    start = packets[0].index(b"\0\0\1\xb6")
    vops = [packets[0][:start] + b"\0\0\1\xb2DivX503b1393p" + packets[0][start:], *packets[1:]]
    packed: list[bytes] = []
    while vops:
        packed.append(vops.pop(0))
        if vops and _read_kind(vops[0]) == 2 and _read_kind(packed[-1]) == 1:
            packed[-1] += vops.pop(0)
            packed.append(b"\0\0\1\xb6\x50\0\x5f")
    return packed


def _read_kind(packet: bytes) -> int:
    """0, 1, 2: a frame of its own, one that needs the one before, one that needs one after it as well."""
    return packet[packet.index(b"\0\0\1\xb6") + 4] >> 6


def repeat_theora(path: Path, counts: list[int]) -> Path:
    """The same Ogg file with each frame followed by so many empty packets: the encoder's way to repeat it."""
    data, pages, at = path.read_bytes(), [], 0
    while at < len(data):
        segments = data[at + 27 : at + 27 + data[at + 26]]
        pages.append((segments, data[at + 27 + len(segments) :][: sum(segments)]))
        at += 27 + len(segments) + sum(segments)
    head, *frames = _split_packets(pages)[0], *_split_packets(pages)[3:]
    setup = _split_packets(pages)[1:3]
    shift = int.from_bytes(head[40:42]) >> 5 & 31
    written = [_pack_page(packet, 0, number, 2 * (number == 0)) for number, packet in enumerate([head, *setup])]
    shown = [part for frame, count in zip(frames, counts, strict=True) for part in (frame, *[b""] * count)]
    key = 0
    for number, packet in enumerate(shown, 1):
        key = number if packet and not packet[0] & 0x40 else key
        place = (key << shift) + number - key
        written.append(_pack_page(packet, place, number + 2, 4 * (number == len(shown))))
    path.write_bytes(b"".join(written))
    return path


def _split_packets(pages: list[tuple[bytes, bytes]]) -> list[bytes]:
    packets, current = [], b""
    for segments, content in pages:
        for length in segments:
            current, content = current + content[:length], content[length:]
            if length < 255:
                packets.append(current)
                current = b""
    return packets


def _pack_page(packet: bytes, place: int, number: int, flags: int) -> bytes:
    segments = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
    page = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, place, 1, number, 0, len(segments)) + segments + packet
    return page[:22] + struct.pack("<I", _checksum(page)) + page[26:]


def _checksum(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 * (value >> 31)) & 0xFFFFFFFF
    return value
