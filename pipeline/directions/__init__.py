"""Which way a clip moves, and its caption for the mirror image or for the opposite direction.

`Directions` answers for a dataset: by the dataset's own phrases, and for texts that hold none of them by the rules for
English. `mirror` is for flipped frames, `find_opposite` for counterfactuals and hard negatives, `find_motion` for
measuring. They take captions, templates and slugs alike, and return None if there is doubt: a text that neither
knows has no direction, no opposite, and must not be flipped. Applied to their own result, `mirror` and `find_opposite`
return the text that they were given, letter for letter. The mirror image of a clip is made by them: its frames flipped,
its words and its way turned.
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

Way = tuple[int, int]  # right and down, each -1, 0 or 1, as pixels are counted
Fault = english.Fault | Literal["other_language", "no_mirror"]

WAYS: dict[str, Way] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


WAYS |= {
    f"{height} {side}": (WAYS[side][0], WAYS[height][1]) for height in ("up", "down") for side in ("left", "right")
}


NO_WAY = "still"  # of what goes no way, whatever its caption says


LAST_SPACED = "\u0e00"  # scripts from here on write words without spaces between them


BEHIND_ID = "-mirrored"


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words of captions and categories that tell which way things move in the picture."""

    words: str
    moves: str | None = None  # one of WAYS; None: no way that can be told
    opposite: str | None = None  # the words for the opposite way
    mirror: str | None = None  # the words for the mirror image; they may be the same


@dataclass(frozen=True)
class Directions:
    """What captions say of ways. The texts may be captions, templates or slugs."""

    phrases: tuple[Phrase, ...] = ()
    rules: bool = True  # whether the English rules hold for texts without such a phrase
    every_text: bool = True  # whether they hold for all of these, or for those alone that look English
    counter: str = COUNTER  # how the dataset spells counter-clockwise

    def find_motion(self, text: str) -> Way | None:
        """Which way the picture moves; None if the text names no way, or contradictory ones."""
        found = self._find(text)
        if not found:
            return english.find_motion(text) if self._knows(text) else None
        ways = {WAYS.get(phrase.moves or "") for _, phrase in found}
        return ways.pop() if len(ways) == 1 else None

    def find_opposite(self, text: str) -> str | None:
        """The same text for the opposite way; None if it tells no way or its opposite is not known."""
        found = self._find(text)
        if not found:
            return english.find_opposite(text, self.counter) if self._knows(text) else None
        return _replace(text, [(match, phrase.opposite) for match, phrase in found])

    def find_mirror_fault(self, text: str) -> Fault | None:
        """Why a clip with this text must not be flipped, None if it may."""
        found = self._find(text)
        if found:
            return "no_mirror" if any(phrase.mirror is None for _, phrase in found) else None
        return english.find_mirror_fault(text, self.counter) or (None if self._knows(text) else "other_language")

    def mirror(self, text: str) -> str | None:
        """The text of the flipped clip: the same where it names no side, None if flipping would be wrong."""
        if self.find_mirror_fault(text):
            return None
        found = self._find(text)
        return _replace(text, [(m, p.mirror) for m, p in found]) if found else english.mirror(text, self.counter)

    def as_data(self) -> dict[str, Any]:
        """Everything, for a file; `read_directions` reads it."""
        return asdict(self)

    def _knows(self, text: str) -> bool:
        return self.rules and (self.every_text or english.is_in_english(text))

    def _find(self, text: str) -> list[tuple[re.Match[str], Phrase]]:
        """The phrases in a text; of those that overlap, the longest."""
        hits = [(match, phrase) for phrase in self.phrases for match in _compile(phrase.words).finditer(text)]
        hits.sort(key=lambda hit: (hit[0].start() - hit[0].end(), hit[0].start()))
        kept: list[tuple[re.Match[str], Phrase]] = []
        for match, phrase in hits:
            if all(match.end() <= other.start() or other.end() <= match.start() for other, _ in kept):
                kept.append((match, phrase))
        return kept


def complete_phrases(phrases: Sequence[Phrase], key: str) -> tuple[Phrase, ...]:
    """The phrases with what follows from them: opposites are mutual and go opposite ways, and so do mirror images.

    Raises UserError, which names `key`, where two of them contradict each other.
    """
    table: dict[str, Phrase] = {}
    for phrase in phrases:
        _add(table, phrase, key)
    for phrase in phrases:
        if phrase.opposite is not None:
            turned = Phrase(phrase.opposite, phrase.moves and turn_way(phrase.moves), phrase.words)
            _add(table, turned, key, f", as the opposite of {phrase.words!r},")
        if phrase.mirror is not None:
            flipped = Phrase(phrase.mirror, phrase.moves and flip_way(phrase.moves), None, phrase.words)
            _add(table, flipped, key, f", as the mirror image of {phrase.words!r},")
    return tuple(map(_imply_mirror, table.values()))


def read_directions(tree: Mapping[str, Any]) -> Directions:
    """What `as_data` gave. Raises TypeError or KeyError for anything else."""
    return Directions(**{**tree, "phrases": tuple(Phrase(**phrase) for phrase in tree["phrases"])})


def spell_way(way: Way | None) -> str:
    """The name of a way; empty for none."""
    return next((name for name, steps in WAYS.items() if steps == way), "")


def parse_way(text: str) -> str | None:
    """The name of a way, in any case and order of its words; empty for an empty text, None for anything else."""
    words = set(text.lower().replace("-", " ").replace("_", " ").split())
    if not words:
        return ""
    return next((name for name in (*WAYS, NO_WAY) if set(name.split()) == words), None)


def flip_way(name: str) -> str:
    """The name of a way as the mirror image shows it."""
    return _turn(name, (-1, 1))


def turn_way(name: str) -> str:
    """The name of the opposite way."""
    return _turn(name, (-1, -1))


def _turn(name: str, signs: Way) -> str:
    if name not in WAYS:
        return name
    right, down = WAYS[name]
    return spell_way((right * signs[0], down * signs[1]))


def _add(table: dict[str, Phrase], new: Phrase, key: str, why: str = "") -> None:
    """Add a phrase, or what follows from another one, to what is known of its words."""
    known = table.get(_fold(new.words), Phrase(new.words))
    merged: dict[str, str] = {"words": known.words}
    for field in ("moves", "opposite", "mirror"):
        one, other = getattr(known, field), getattr(new, field)
        if one is not None and other is not None and _fold(one) != _fold(other):
            raise UserError(f"{key}: contradicts itself: {field} of {new.words!r} is {one!r} and{why} {other!r}")
        merged[field] = one if one is not None else other
    table[_fold(new.words)] = Phrase(**merged)


def _imply_mirror(phrase: Phrase) -> Phrase:
    """A phrase without a side is its own mirror image, and what goes straight to a side mirrors its opposite."""
    if phrase.mirror is not None or phrase.moves is None:
        return phrase
    right, down = WAYS.get(phrase.moves, (0, 0))
    implied = phrase.words if not right else phrase.opposite if not down else None
    return Phrase(phrase.words, phrase.moves, phrase.opposite, implied)


def _fold(words: str) -> str:
    return " ".join(re.split(BETWEEN, words.strip().casefold()))


@cache
def _compile(words: str) -> re.Pattern[str]:
    """The words, whole where their script parts words by spaces, with any gap between them."""
    spaced = all(letter < LAST_SPACED for letter in words)
    escaped = re.escape(" ".join(re.split(BETWEEN, words.strip()))).replace("\\ ", " ")
    return re.compile(enclose_words(escaped) if spaced else escaped.replace(" ", BETWEEN), re.IGNORECASE)


def _replace(text: str, pieces: Iterable[tuple[re.Match[str], str | None]]) -> str | None:
    """The text with other words in place of the matches; None if one has none."""
    for match, words in sorted(pieces, key=lambda piece: -piece[0].start()):
        if words is None:
            return None
        text = text[: match.start()] + write_like(words, match[0], text) + text[match.end() :]
    return text


def find_twin_fault(clip: Clip, directions: Directions) -> Fault | None:
    """Why the clip must not be flipped, None if it may."""
    return next(filter(None, (directions.find_mirror_fault(text) for text in list_texts(clip))), None)


def make_twin(clip: Clip, directions: Directions) -> Clip:
    """The mirror image of a clip that may be flipped."""
    caption, template, *objects = (directions.mirror(text) or text for text in list_texts(clip))
    return replace(
        clip,
        id=f"{clip.id}{BEHIND_ID}",
        caption=caption,
        template=template,
        category=clip.category if template == clip.template else slugify(template),
        objects=tuple(objects),
        mirrored=True,
        moves=flip_way(clip.moves),
    )


def list_texts(clip: Clip) -> tuple[str, ...]:
    """All words that may name a side."""
    return clip.caption, clip.template, *clip.objects
