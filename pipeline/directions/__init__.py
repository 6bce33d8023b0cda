"""The direction in which a clip moves, and its caption for the mirror image or the opposite direction.

`DirectionRules` are those of a dataset: its own phrases and, for texts without any of them, the rules for English.
`mirror` is for flipped frames, `find_opposite` for counterfactuals and hard negatives, `find_motion` for metrics. They
accept captions, templates and slugs, and return None in case of doubt: a text that no rule covers has no direction and
no opposite, and must not be flipped. `mirror` and `find_opposite` are exact involutions: applied to their own result,
they return the original text. `make_twin` builds the mirror image of a clip: flipped frames, mirrored texts and motion.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, Literal

from pipeline.directions import english
from pipeline.directions.cues import BETWEEN, COUNTER, enclose_words, write_like
from pipeline.errors import UserError
from pipeline.records import Clip, slugify

Direction = tuple[int, int]  # x (right) and y (down), each -1, 0 or 1
Fault = english.Fault | Literal["other_language", "no_mirror"]

DIRECTIONS: dict[str, Direction] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
DIRECTIONS |= {
    f"{height} {side}": (DIRECTIONS[side][0], DIRECTIONS[height][1])
    for height in ("up", "down")
    for side in ("left", "right")
}
STILL = "still"  # overrides the caption: no direction
LAST_SPACED = "\u0e00"  # scripts from here on have no spaces between words
MIRROR_SUFFIX = "-mirrored"  # of ids


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words of captions and categories that tell in which direction things move in the frame."""

    words: str
    moves: str | None = None  # one of DIRECTIONS; None: unknown
    opposite: str | None = None  # the words for the opposite direction
    mirror: str | None = None  # the words for the mirror image; possibly the same


@dataclass(frozen=True)
class DirectionRules:
    """The rules for directions in texts, which may be captions, templates or slugs."""

    phrases: tuple[Phrase, ...] = ()
    rules: bool = True  # whether the English rules apply to texts without such a phrase
    every_text: bool = True  # whether they apply to all of these, or only to those that look English
    counter: str = COUNTER  # the dataset's spelling of counter-clockwise

    def find_motion(self, text: str) -> Direction | None:
        """The direction of motion in the frame; None if the text names none, or contradictory ones."""
        found = self._find(text)
        if not found:
            return english.find_motion(text) if self._knows(text) else None
        named = {DIRECTIONS.get(phrase.moves or "") for _, phrase in found}
        return named.pop() if len(named) == 1 else None

    def find_opposite(self, text: str) -> str | None:
        """The text for the opposite direction; None if it names no direction or the opposite is unknown."""
        found = self._find(text)
        if not found:
            return english.find_opposite(text, self.counter) if self._knows(text) else None
        return _replace(text, [(match, phrase.opposite) for match, phrase in found])

    def find_mirror_fault(self, text: str) -> Fault | None:
        """Why a clip with this text must not be flipped; None if it may."""
        found = self._find(text)
        if found:
            return "no_mirror" if any(phrase.mirror is None for _, phrase in found) else None
        return english.find_mirror_fault(text, self.counter) or (None if self._knows(text) else "other_language")

    def mirror(self, text: str) -> str | None:
        """The text of the flipped clip, unchanged if it names no side; None if the clip must not be flipped."""
        if self.find_mirror_fault(text):
            return None
        found = self._find(text)
        return _replace(text, [(m, p.mirror) for m, p in found]) if found else english.mirror(text, self.counter)

    def as_data(self) -> dict[str, Any]:
        """All fields, to be written as JSON; see `read_directions`."""
        return asdict(self)

    def _knows(self, text: str) -> bool:
        return self.rules and (self.every_text or english.is_in_english(text))

    def _find(self, text: str) -> list[tuple[re.Match[str], Phrase]]:
        """The phrases in a text; of overlapping ones, the longest."""
        hits = [(match, phrase) for phrase in self.phrases for match in _compile(phrase.words).finditer(text)]
        hits.sort(key=lambda hit: (hit[0].start() - hit[0].end(), hit[0].start()))
        kept: list[tuple[re.Match[str], Phrase]] = []
        for match, phrase in hits:
            if all(match.end() <= other.start() or other.end() <= match.start() for other, _ in kept):
                kept.append((match, phrase))
        return kept


def complete_phrases(phrases: Sequence[Phrase], key: str) -> tuple[Phrase, ...]:
    """The phrases with all implied ones: opposites and mirror images are mutual, with the corresponding directions.

    Raises UserError that names `key` if two phrases contradict each other.
    """
    table: dict[str, Phrase] = {}
    for phrase in phrases:
        _add(table, phrase, key)
    for phrase in phrases:
        if phrase.opposite is not None:
            turned = Phrase(phrase.opposite, phrase.moves and reverse_direction(phrase.moves), phrase.words)
            _add(table, turned, key, f", as the opposite of {phrase.words!r},")
        if phrase.mirror is not None:
            flipped = Phrase(phrase.mirror, phrase.moves and mirror_direction(phrase.moves), None, phrase.words)
            _add(table, flipped, key, f", as the mirror image of {phrase.words!r},")
    return tuple(map(_imply_mirror, table.values()))


def read_directions(tree: Mapping[str, Any]) -> DirectionRules:
    """The inverse of `as_data`. Raises TypeError or KeyError for anything else."""
    return DirectionRules(**{**tree, "phrases": tuple(Phrase(**phrase) for phrase in tree["phrases"])})


def name_direction(direction: Direction | None) -> str:
    """The name of a direction; empty for None."""
    return next((name for name, steps in DIRECTIONS.items() if steps == direction), "")


def parse_direction(text: str) -> str | None:
    """A text in any case and word order -> the name of a direction; empty for an empty text, None if invalid."""
    words = set(text.lower().replace("-", " ").replace("_", " ").split())
    if not words:
        return ""
    return next((name for name in (*DIRECTIONS, STILL) if set(name.split()) == words), None)


def mirror_direction(name: str) -> str:
    """The name of a direction in the mirror image."""
    return _reflect(name, (-1, 1))


def reverse_direction(name: str) -> str:
    """The name of the opposite direction."""
    return _reflect(name, (-1, -1))


def _reflect(name: str, signs: Direction) -> str:
    if name not in DIRECTIONS:
        return name
    right, down = DIRECTIONS[name]
    return name_direction((right * signs[0], down * signs[1]))


def _add(table: dict[str, Phrase], new: Phrase, key: str, why: str = "") -> None:
    """Merge a phrase, given or implied, into the table. Raises UserError if it contradicts a known one."""
    known = table.get(_fold(new.words), Phrase(new.words))
    merged: dict[str, str] = {"words": known.words}
    for field in ("moves", "opposite", "mirror"):
        one, other = getattr(known, field), getattr(new, field)
        if one is not None and other is not None and _fold(one) != _fold(other):
            raise UserError(f"{key}: contradicts itself: {field} of {new.words!r} is {one!r} and{why} {other!r}")
        merged[field] = one if one is not None else other
    table[_fold(new.words)] = Phrase(**merged)


def _imply_mirror(phrase: Phrase) -> Phrase:
    """Set the mirror image if it is implied: for vertical or no motion the same words, for horizontal the opposite."""
    if phrase.mirror is not None or phrase.moves is None:
        return phrase
    right, down = DIRECTIONS.get(phrase.moves, (0, 0))
    implied = phrase.words if not right else phrase.opposite if not down else None
    return Phrase(phrase.words, phrase.moves, phrase.opposite, implied)


def _fold(words: str) -> str:
    return " ".join(re.split(BETWEEN, words.strip().casefold()))


@cache
def _compile(words: str) -> re.Pattern[str]:
    """The pattern of the words, as whole words if their script uses spaces, with any separator between them."""
    spaced = all(letter < LAST_SPACED for letter in words)
    escaped = re.escape(" ".join(re.split(BETWEEN, words.strip()))).replace("\\ ", " ")
    return re.compile(enclose_words(escaped) if spaced else escaped.replace(" ", BETWEEN), re.IGNORECASE)


def _replace(text: str, pieces: Iterable[tuple[re.Match[str], str | None]]) -> str | None:
    """Replace the matches in a text; None if any replacement is None."""
    for match, words in sorted(pieces, key=lambda piece: -piece[0].start()):
        if words is None:
            return None
        text = text[: match.start()] + write_like(words, match[0], text) + text[match.end() :]
    return text


def find_twin_fault(clip: Clip, directions: DirectionRules) -> Fault | None:
    """Why the clip must not be flipped; None if it may."""
    return next(filter(None, (directions.find_mirror_fault(text) for text in list_texts(clip))), None)


def make_twin(clip: Clip, directions: DirectionRules) -> Clip:
    """The mirror image of a clip that may be flipped."""
    caption, template, *objects = (directions.mirror(text) or text for text in list_texts(clip))
    return replace(
        clip,
        id=f"{clip.id}{MIRROR_SUFFIX}",
        caption=caption,
        template=template,
        category=clip.category if template == clip.template else slugify(template),
        objects=tuple(objects),
        mirrored=True,
        moves=mirror_direction(clip.moves),
    )


def list_texts(clip: Clip) -> tuple[str, ...]:
    """All texts of a clip that may name a side."""
    return clip.caption, clip.template, *clip.objects
