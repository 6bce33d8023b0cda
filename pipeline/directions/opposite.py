"""The caption of the opposite motion, and which way a motion goes in the picture."""

import re
from typing import NamedTuple

from pipeline.directions.mirror import in_other_sense
from pipeline.directions.rules import (
    ALWAYS,
    CAMERA_MOVES,
    COUNTER,
    CUES,
    HEDGES,
    PLANE,
    WORD,
    Cue,
    whole_words,
    write_like,
)

NOUN = re.compile(rf"{whole_words('an?|the|of|its|this|that|my|his|her|their|your|from')}[\s_-]+$", re.I)
BARE = re.compile(rf"^\W*$|{whole_words('to')}[\s_-]+$|{whole_words('let|lets|letting')}.*$", re.I)
LONGEST = 1000  # letters; what is longer is no caption, and takes time that grows with its square


class CueMatch(NamedTuple):
    """A cue in a text: where its parts are, and what replaces them in the opposite text."""

    axis: str
    side: int
    spans: tuple[tuple[int, int], ...]
    instead: tuple[str, ...]


def opposite(text: str, counter: str = COUNTER) -> str | None:
    """The same caption for the opposite way, None where it names no way, several at odds, or one in another sense.

    Opposite are motions that a film played backwards shows, turns, and places before and behind, above and below.
    `counter` is how the dataset spells counter-clockwise.
    """
    turned = _turn(text, counter)
    return turned if turned is not None and _turn(turned, counter) == text else None


def find_motion(text: str) -> tuple[int, int] | None:
    """Which way the picture moves: (dx, dy), each -1, 0 or 1, to the right and downwards as pixels are counted.

    None where the caption names neither left, right, up nor down as a way to go, or names them at odds.
    """
    found = [cue for cue in _find(text) if cue.axis in PLANE]
    ways = {(cue.axis, cue.side) for cue in found}
    axes = {axis for axis, _ in ways}
    if not ways or len(ways) > len(axes) or _is_doubtful(text, axes):
        return None
    # Where the camera turns to the left, all that it films goes to the right.
    sign = -1 if CAMERA_MOVES.search(text) else 1
    dx = sign if ("side", 0) in ways else -sign if ("side", 1) in ways else 0
    dy = -sign if ("height", 0) in ways else sign if ("height", 1) in ways else 0
    return dx, dy


def _turn(text: str, counter: str) -> str | None:
    found = _find(text)
    axes = {cue.axis for cue in found}
    at_odds = len({(cue.axis, cue.side) for cue in found}) > len(axes) or (len(axes) > 1 and not axes <= PLANE)
    if not found or at_odds or _is_doubtful(text, axes):
        return None
    pieces = [(span, words) for cue in found for span, words in zip(cue.spans, cue.instead, strict=True)]
    turned = text
    for (start, end), words in sorted(pieces, reverse=True):
        new = write_like(counter if words == COUNTER else words, text[start:end], text)
        turned = turned[:start] + new + turned[end:]
    return turned


def _is_doubtful(text: str, axes: set[str]) -> bool:
    return ("side" in axes and in_other_sense(text)) or (not axes <= ALWAYS and HEDGES.search(text) is not None)


def _find(text: str) -> list[CueMatch]:
    """The cues in a text; of those that overlap the one that starts first, then the longer."""
    hits: list[CueMatch] = []
    if len(text) > LONGEST:
        return hits
    for word in dict.fromkeys(WORD.findall(text.lower())):
        for cue in CUES.get(word, ()):
            for match in cue.pattern.finditer(text):
                if _keeps_its_sense(text[: match.start()], cue):
                    spans = tuple(match.span(number) for number in range(1, len(cue.instead) + 1))
                    hits.append(CueMatch(cue.axis, cue.side, spans, cue.instead))
    hits.sort(key=lambda hit: (hit.spans[0][0], -sum(end - start for start, end in hit.spans)))
    kept: list[CueMatch] = []
    taken: set[int] = set()
    for hit in hits:
        places = {place for span in hit.spans for place in range(*span)}
        if not places & taken:
            kept.append(hit)
            taken |= places
    return kept


def _keeps_its_sense(before: str, cue: Cue) -> bool:
    """Whether the words before a cue leave it its sense: no noun as in `an opening`, no adjective as in `open`."""
    return not NOUN.search(before) and (not cue.bare or BARE.search(before) is not None)
