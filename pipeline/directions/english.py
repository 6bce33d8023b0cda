"""Rules for English captions: the caption of the mirror image, of the opposite motion, and the direction."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Literal, NamedTuple

from pipeline.directions.cues import (
    AFTER_CAMERA,
    ALWAYS,
    BETWEEN,
    CAMERA_MOVES,
    COUNTER,
    CUES,
    HEDGES,
    PLANE,
    WORD,
    Cue,
    enclose_words,
    split_words,
    write_like,
)

# Words that hardly occur in other languages, and words that count only if several occur.
TELLING_WORDS = """
    the and with from into onto something someone left right his their your behind front towards through while
    leftwards rightwards clockwise upwards downwards
"""
TELLING = frozenset(TELLING_WORDS.split())
WEAK = frozenset({"a", "is", "are", "of", "to", "up", "down", "off", "at", "by", "for", "out", "over"})
SHORT = 3  # words: `brush hair` is too short to tell its language
SHARE = 0.5  # of the captions that are long enough

Fault = Literal["writing", "other_sense", "other_script", "other_spelling"]

SIDES = re.compile(enclose_words("(?:left|right)(?:most|wards?|hand(?:ed)?)?"), re.I)
COUNTERS = re.compile(enclose_words(r"(?:counter|anti)[\s_-]?clockwise"), re.I)
TURNS = re.compile(f"{COUNTERS.pattern}|{enclose_words('clockwise')}", re.I)

# Things that look wrong in a mirror: anything to be read, and screw threads, which turn in one direction only.
SIGNS = """
    write writes writing written wrote handwriting handwritten read reads reading spelling typing text texts letter
    letters lettering word words number numbers numeral numerals digit digits alphabet sign signs signature signatures
    logo logos barcode barcodes clock clocks watch watches wristwatch calendar calendars calculator calculators keyboard
    keyboards map maps compass east west
"""
THREADS = "screw screws screwed screwing unscrew unscrews unscrewed unscrewing tighten tightening loosen loosening"
ONE_WAY = frozenset([*SIGNS.split(), *THREADS.split()])
AMOUNT = re.compile(rf"\[?number{BETWEEN}of\]?", re.I)
LAST_LATIN = "\u024f"
SURE_SIDES = re.compile(r"\b(?:left to (?:the )?right|right to (?:the )?left)\b")
OTHER_SENSES = re.compile(
    r"\ball right\b|\bright (?:side up|way|of way|angle[sd]?|place|spot|position|amount|order|direction|time|moment"
    r"|kind|size|shape|answer|one|thing|triangle)\b"
    r"|(?<!\bthe )\bright (?:next|behind|in|into|at|after|before|away|out|off|now|here|there|above|below|under"
    r"|underneath|beneath|beside|against|through|between|on|onto|over|up|down|back|near|by)\b"
    r"|(?<!\bthe )\bleft (?:behind|over|alone|out|open|empty|in|on|standing|lying|hanging|the|an?|it|him|her|them"
    r"|his|my|their)\b|\bleft overs\b"
    r"|\b(?:is|are|was|were|be|been|being|has|have|had|gets?|getting|nothing|anything|none|little|few|much|what) left\b"
)

# `left` is a side after WORDS_BEFORE_SIDE, before WORDS_AFTER_SIDE, or after a verb of motion; else it may be a verb.
WORDS_BEFORE_SIDE = """
    the to from on at of far top bottom upper lower my his her its your their our a an and or
"""
WORDS_AFTER_SIDE = """
    to of or and hand hands side foot leg arm eye ear shoe sock glove corner edge half part end turn lane wing
"""
SUBJECT_WORDS = """
    he she it they we you i who everyone everybody someone somebody nobody all both people
"""
BEFORE_SIDE, AFTER_SIDE, SUBJECTS = (
    frozenset(words.split()) for words in (WORDS_BEFORE_SIDE, WORDS_AFTER_SIDE, SUBJECT_WORDS)
)
MOVING_STEMS = (
    "turn|mov|go|goe|walk|run|push|pull|slid|drag|carr|swip|roll|step|jump|look|lean|point|bend|shift|veer|head|fac|tilt"
    "|spin|drift|pan|scroll|crawl|rid|climb|driv|fly|flie|swim|thr[eo]w|toss|pass|kick|punch|swing|wav|hop|skip|rac"
    "|steer|curv|flip|rotat"
)
MOTIONS = re.compile(
    enclose_words(f"[a-z]{{2,}}ing|(?:{MOVING_STEMS})(?:e|es|ed|s|y|ies|ied)?|went|ran|drove|flew|swam|slid|slides"),
    re.I,
)

NOUN = re.compile(rf"{enclose_words('an?|the|of|its|this|that|my|his|her|their|your|from')}[\s_-]+$", re.I)
BARE = re.compile(rf"^\W*$|{enclose_words('to')}[\s_-]+$|{enclose_words('let|lets|letting')}.*$", re.I)
LONGEST = 1000  # characters; longer texts are no captions, and matching takes quadratic time


def is_in_english(text: str) -> bool:
    """Whether a caption may be English, by its words or at least its letters."""
    return _looks_english(split_words(text)) or text.isascii()


def are_in_english(texts: Iterable[str]) -> bool:
    """Whether at least half of the captions that are long enough to tell are English; true if none is."""
    telling = english = 0
    for text in texts:
        words = split_words(text)
        looks = _looks_english(words)
        if looks or len(words) > SHORT or not text.isascii():
            telling += 1
            english += looks
    return english >= telling * SHARE


def _looks_english(words: list[str]) -> bool:
    found = set(words)
    return (
        not TELLING.isdisjoint(found)
        or any(len(word) > 4 and word.endswith("ing") for word in found)
        or len(WEAK & found) > 1
    )


@lru_cache(1 << 16)  # templates and objects recur
def mirror(text: str, counter: str = COUNTER) -> str | None:
    """The caption of the flipped clip, unchanged if it names no side; None if the clip must not be flipped.

    `counter` is the dataset's spelling of counter-clockwise.
    """
    return None if find_mirror_fault(text, counter) else _flip(text, counter)


@lru_cache(1 << 16)
def find_mirror_fault(text: str, counter: str = COUNTER) -> Fault | None:
    """Why a clip with this caption must not be flipped; None if it may."""
    if not ONE_WAY.isdisjoint(split_words(text)) and not ONE_WAY.isdisjoint(split_words(AMOUNT.sub("", text))):
        return "writing"
    if not text.isascii() and any(letter.isalpha() and letter > LAST_LATIN for letter in text):
        return "other_script"
    if not _is_sided(text):
        return None
    flipped = _flip(text, counter)
    if _has_other_sense(text) or _has_other_sense(flipped):
        return "other_sense"
    return None if _flip(flipped, counter) == text else "other_spelling"


def _has_other_sense(text: str) -> bool:
    """Whether left or right may mean something else than a side: `right next to`, `left behind`."""
    plain = SURE_SIDES.sub("aside", " ".join(split_words(text)))
    return _is_sided(plain) and (OTHER_SENSES.search(plain) is not None or _has_left_as_verb(plain))


def _has_left_as_verb(plain: str) -> bool:
    """Whether `left` may be a verb: `he left`, `the dog left early`. True if in doubt."""
    words = plain.split()
    moved = False
    for index, word in enumerate(words):
        moved |= MOTIONS.fullmatch(word) is not None
        if word != "left" or moved or index == 0 or words[index - 1] in BEFORE_SIDE:
            continue
        if words[index + 1 : index + 2] and words[index + 1] in AFTER_SIDE:
            continue
        if index > 1 or words[0] in SUBJECTS:
            return True
    return False


def find_counter_spelling(texts: Iterable[str]) -> str:
    """The most frequent spelling of counter-clockwise in these captions."""
    found = Counter(match[0].lower() for text in texts for match in COUNTERS.finditer(text))
    return min(found, key=lambda spelling: (-found[spelling], spelling)) if found else COUNTER


def _is_sided(text: str) -> bool:
    """A fast check whether the patterns for sides or turns may match, since most captions have none."""
    lower = text.lower()
    return "left" in lower or "right" in lower or "clockwise" in lower


def _flip(text: str, counter: str) -> str:
    if not _is_sided(text):
        return text
    flipped = SIDES.sub(lambda match: _swap_side(match[0]), text)
    return TURNS.sub(lambda match: write_like(_swap_turn(match[0], counter), match[0], text), flipped)


def _swap_side(word: str) -> str:
    length, other = (4, "right") if word[0] in "lL" else (5, "left")
    return write_like(other, word[:length], word) + word[length:]


def _swap_turn(word: str, counter: str) -> str:
    return counter if word[:2].lower() == "cl" else "clockwise"


class CueMatch(NamedTuple):
    """A cue in a text: the spans of its parts, and their replacements in the opposite text."""

    axis: str
    side: int
    spans: tuple[tuple[int, int], ...]
    instead: tuple[str, ...]


def find_opposite(text: str, counter: str = COUNTER) -> str | None:
    """The caption for the opposite direction; None if it names none or contradictory ones, or is ambiguous.

    Opposites are reversed motions and turns, and positions such as above and below. `counter` is the dataset's spelling
    of counter-clockwise.
    """
    turned = _turn(text, counter)
    return turned if turned is not None and _turn(turned, counter) == text else None


def find_motion(text: str) -> tuple[int, int] | None:
    """The direction of motion in the frame: (dx, dy), each -1, 0 or 1, where right and down are positive.

    None if the caption names no motion to the left, right, up or down, or contradictory ones.
    """
    found = [cue for cue in _find(text) if cue.axis in PLANE]
    named = {(cue.axis, cue.side) for cue in found}
    axes = {axis for axis, _ in named}
    if not named or len(named) > len(axes) or _is_doubtful(text, axes):
        return None
    # If the camera turns to the left, everything in the frame moves to the right.
    sign = _find_sign(text, found)
    if sign is None:
        return None
    dx = sign if ("side", 0) in named else -sign if ("side", 1) in named else 0
    dy = -sign if ("height", 0) in named else sign if ("height", 1) in named else 0
    return dx, dy


def _find_sign(text: str, cues: list[CueMatch]) -> int | None:
    """-1 if the cues are the motion of the camera, 1 if of what it films, None if that is unclear or both."""
    moves = [match.end() for match in CAMERA_MOVES.finditer(text)]
    starts = [min(cue.spans)[0] for cue in cues]
    own = [max((end for end in moves if end <= start), default=None) for start in starts]
    if not any(own):
        return 1
    # Another verb in between has a subject of its own: the camera turns towards a man who walks to the left.
    unclear = len({cue.axis for cue in cues}) < len(cues) or any(
        end is None or any(map(MOTIONS.fullmatch, split_words(text[end:start])))
        for end, start in zip(own, starts, strict=True)
    )
    return None if unclear else -1


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
    return ("side" in axes and _has_other_sense(text)) or (not axes <= ALWAYS and HEDGES.search(text) is not None)


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    """The pattern of a cue, compiled when its word first occurs: all of them take 0.4 s."""
    return re.compile(pattern, re.I)


def _find(text: str) -> list[CueMatch]:
    """The cues in a text; of overlapping ones the first, then the longest."""
    hits: list[CueMatch] = []
    if len(text) > LONGEST:
        return hits
    for word in dict.fromkeys(WORD.findall(text.lower())):
        for cue in CUES.get(word, ()):
            for match in _compile(cue.pattern).finditer(text):
                if _keeps_its_sense(text, match.start(), cue):
                    spans = tuple(match.span(number) for number in range(1, len(cue.instead) + 1))
                    hits.append(CueMatch(cue.axis, cue.side, spans, cue.instead))
    hits.sort(key=lambda hit: (hit.spans[0][0], -sum(end - start for start, end in hit.spans)))
    kept: list[CueMatch] = []
    taken: set[int] = set()
    for hit in hits:
        letters = {index for span in hit.spans for index in range(*span)}
        if not letters & taken:
            kept.append(hit)
            taken |= letters
    return kept


def _keeps_its_sense(text: str, start: int, cue: Cue) -> bool:
    """Whether the words before a cue confirm its sense: no noun as in `an opening`, no adjective as `open`."""
    before = text[:start]
    if cue.of_camera and not any(AFTER_CAMERA.fullmatch(before, move.end()) for move in CAMERA_MOVES.finditer(text)):
        return False
    return not NOUN.search(before) and (not cue.bare or BARE.search(before) is not None)
