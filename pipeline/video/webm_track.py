"""The track of a plain WebM file that holds its video: VP8 or VP9, shown just as it is decoded."""

from dataclasses import dataclass

from pipeline.video.ebml import VOID, Element, OddFile, elements, number

TRACK, VIDEO, COLOUR = 0xAE, 0xE0, 0x55B0
NUMBER, KIND, CODEC = 0xD7, 0x83, 0x86
PIXEL_WIDTH, PIXEL_HEIGHT, DISPLAY_WIDTH, DISPLAY_HEIGHT = 0xB0, 0xBA, 0x54B0, 0x54BA

IN_TRACK = {0x73C5, 0x88, 0x55AA, 0x22B59C, 0x22B59D, 0x536E, 0x23E383, 0x6DE7} | VOID  # id, flags, names, frame rate
IN_TRACK_VALUES = {0xB9: {1}, 0x9C: {0, 1}, 0x55EE: {0}, 0x56AA: {0}, 0x56BB: {0}}  # in use, lacing, additions, delay
IN_VIDEO_VALUES = {0x9A: {0, 2}, 0x54B2: {0}, 0x53B8: {0}, 0x53C0: {0}}  # not interlaced, in pixels, one eye, no alpha
# The range of broadcasting, which every decoder takes unless told otherwise; matrix, transfer and primaries unknown.
IN_COLOUR_VALUES = {0x55B9: {0, 1}, 0x55B1: {2}, 0x55BA: {2}, 0x55BB: {2}}
CODECS = {b"V_VP8": "vp8", b"V_VP9": "vp9"}
VIDEO_KIND, OTHER_KINDS = 1, {2, 17}  # audio, subtitles


@dataclass(frozen=True, slots=True)
class Track:
    """The only video track of a file."""

    number: int  # 1 to 126, so that it is one byte in each block
    codec: str  # vp8 | vp9
    others: frozenset[int]  # numbers of sound and subtitles


def video_track(data: bytes, tracks: Element) -> Track:
    """The video track among the tracks. Raises OddFile where there is none or several, or one that is not plain."""
    found: list[tuple[int, str]] = []
    numbers: list[int] = []
    for track in elements(data, tracks.start, tracks.end):
        if track.id in VOID:
            continue
        parts = {part.id: part for part in elements(data, track.start, track.end)}
        if track.id != TRACK or not parts.keys() >= {NUMBER, KIND, CODEC}:
            raise OddFile("no whole track")
        numbers.append(number(data, parts[NUMBER]))
        kind = number(data, parts[KIND])
        if kind == VIDEO_KIND:
            found.append((numbers[-1], _codec(data, track)))
        elif kind not in OTHER_KINDS:
            raise OddFile(f"a track of kind {kind}")
    if len(found) != 1 or len({*numbers}) < len(numbers) or not all(0 < number < 127 for number in numbers):
        raise OddFile("not one video track with a number of its own")
    return Track(*found[0], frozenset(numbers) - {found[0][0]})


def _codec(data: bytes, track: Element) -> str:
    """The decoder of a video track. Raises OddFile where anything else is said that matters."""
    codec = ""
    for part in elements(data, track.start, track.end):
        if part.id == CODEC:
            codec = CODECS.get(data[part.start : part.end], "")
        elif part.id == VIDEO:
            _check_video(data, part)
        elif part.id not in IN_TRACK | {NUMBER, KIND}:
            _check_value(data, part, IN_TRACK_VALUES)
    if not codec:
        raise OddFile("another codec")
    return codec


def _check_video(data: bytes, video: Element) -> None:
    sides: dict[int, int] = {}
    for part in elements(data, video.start, video.end):
        if part.id in (PIXEL_WIDTH, PIXEL_HEIGHT, DISPLAY_WIDTH, DISPLAY_HEIGHT):
            sides[part.id] = number(data, part)
        elif part.id == COLOUR:
            for value in elements(data, part.start, part.end):
                _check_value(data, value, IN_COLOUR_VALUES)
        elif part.id not in VOID:
            _check_value(data, part, IN_VIDEO_VALUES)
    width, height = sides.get(PIXEL_WIDTH, 0), sides.get(PIXEL_HEIGHT, 0)
    shown = sides.get(DISPLAY_WIDTH, width), sides.get(DISPLAY_HEIGHT, height)
    if not width or not height or shown != (width, height):
        raise OddFile("pixels that are not square")


def _check_value(data: bytes, element: Element, values: dict[int, set[int]]) -> None:
    if number(data, element) not in values.get(element.id, ()):
        raise OddFile(f"element {element.id:x}")
