"""The table of cues: words for directions and their opposites, and patterns that find them in captions."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

COUNTER = "counter-clockwise"  # unless the dataset has another spelling
WORD = re.compile(r"[^\W_]+")
BETWEEN = r"[\s_-]+"
# Words end at anything but letters and digits, and inside CamelCase.
CAMEL = r"(?-i:(?<=[a-z])(?=[A-Z]))"
HUMP = re.compile(CAMEL)
START, END = rf"(?:(?<![^\W_])|{CAMEL})", rf"(?:(?![^\W_])|{CAMEL})"

PLANE = {"side", "height"}  # axes in the image plane; both may be reversed together
ALWAYS = {"side", "turn", "beside"}  # reliable even in captions with hedges

# What must follow a word to confirm its sense: "pushing it up" (but not "the up key"), "up a slope".
PREPOSITIONS = "while|and|on|onto|in|into|to|from|off|out|behind|across|along|over|with|at|by|towards?|slowly|quickly"
ALONE = rf"(?=[^\w-]*$|\s*[.,;]|{BETWEEN}(?:{PREPOSITIONS})\b)"
BEFORE_NOUN = rf"(?={BETWEEN}(?:an?|the|one|two|some|his|her|its|my|your|\[?something)\b)"
FOLLOWED = rf"(?={BETWEEN}\S)"


def split_words(text: str) -> list[str]:
    """The words in lower case, with CamelCase split."""
    return WORD.findall(text if text.islower() else HUMP.sub(" ", text).lower())


def enclose_words(words: str) -> str:
    """A pattern for these words, or a pattern, as whole words; a space matches any separator of a slug."""
    return f"{START}(?:{words.replace(' ', BETWEEN)}){END}"


def write_like(words: str, replaced: str, text: str) -> str:
    """The words with the capitalisation of the replaced ones, joined by the separator of the text."""
    models = re.split(BETWEEN, replaced)
    # `Approaching` becomes `Moving away from`: a single capitalised word does not capitalise the others.
    rest = models[-1] if len(models) > 1 or _is_upper(models[0]) else "x"
    new = words.split()
    models += [rest] * (len(new) - len(models))
    glue = next((mark for mark in " -_" if mark in text), " ")
    return glue.join(_apply_case(word, model) for word, model in zip(new, models, strict=False))


def _apply_case(word: str, model: str) -> str:
    return word.upper() if _is_upper(model) else word[0].upper() + word[1:] if model[0].isupper() else word


def _is_upper(word: str) -> bool:
    return len(word) > 1 and word.isupper()


# Captions with hedges name several directions, or a motion that did not happen.
HEDGES = re.compile(
    enclose_words(
        "but|because|until|without(?! actually)|so|then|that|not|cannot|(?:does|do|is|did|ca|wo)n['’]?t|almost|upright"  # noqa: RUF001
        "|fail(?:s|ed|ing)?|tries|trying|missing|instead|before|after"
    ),
    re.I,
)

CAMERA_VERBS = (
    "(?:(?:turn|mov|tilt|rotat|swing|swivel|shift|slid|sweep|track|glid|drift)(?:e|es|s|ed|ing)?|pan(?:s|ned|ning)?"
    "|swung|swept)"
)
ADVERB = "(?:[a-z]+ly|then|also)"
# A pan may be for frying, and heads tilt, too: without the word `camera`, these verbs count only at the start of a
# clause or after a word for the picture, and only if the direction follows.
PICTURE = "(?:shot|view|scene|footage|video|film|clip|lens|slow|then)"
TO_A_SIDE = f"(?:{ADVERB} )?(?:(?:to|from) |left|right|up|down)"
PANS = f"(?:{ADVERB} )?(?:pan(?:s|ned|ning)?|tilt(?:s|ed|ing)?)(?= {TO_A_SIDE})"
CAMERA_MOVES = re.compile(
    "|".join(
        (
            enclose_words(f"{CAMERA_VERBS} (?:(?:the|a|your|my|his|her|our|their) )?camera"),
            enclose_words(f"camera (?:(?:is|was|{ADVERB}) )*{CAMERA_VERBS}"),
            enclose_words("camera (?:[a-z]+ ){1,5}and (?:then )?(?:pans|panning|tilts|tilting)"),
            rf"(?:^\W*|[.,;:]\s*|{enclose_words(PICTURE)}{BETWEEN}){enclose_words(PANS)}",
        )
    ),
    re.I,
)

# What may stand between such a verb and `up`: pans slowly up, pans to the left and up.
AFTER_CAMERA = re.compile(
    rf"{BETWEEN}(?:[a-z]+ly{BETWEEN})?(?:(?:to{BETWEEN}the{BETWEEN})?(?:left|right|up|down){BETWEEN}and{BETWEEN})?",
    re.I,
)


class Cue(NamedTuple):
    """Words for one direction along an axis, in one or two parts, and those for the opposite direction."""

    axis: str
    side: int  # 0 or 1; 0 is right and up
    pattern: str  # a regular expression, ignoring case, with a group for each part that differs in the opposite
    instead: tuple[str, ...]  # replacements of these groups
    bare: bool = False  # an uninflected verb, which may be an adjective or adverb: open, close
    of_camera: bool = False  # counts only right after a verb for a motion of the camera


MOVING = (
    "moving moves move, pushing pushes push, pulling pulls pull, sliding slides slide, dragging drags drag, "
    "carrying carries carry, swiping swipes swipe"
)

GOING = (
    "rolling rolls roll, walking walks walk, running runs run, climbing climbs climb, going goes go, "
    "driving drives drive, riding rides ride, crawling crawls crawl, jumping jumps jump"
)

PUT, TAKE = "putting puts put", "taking takes take"

LIFT, LOWER = "lifting lifts lift", "lowering lowers lower"

# axis, verb and second part, opposite verb and second part, what must follow
VERB_PAIRS = [
    ("in", PUT, "into", TAKE, "out of", ""),
    ("in", "burying buries bury", "in", "digging digs dig", "out of", ""),
    ("in", "plugging plugs plug", "into", "unplugging unplugs unplug", "from", ""),
    ("in", "pouring pours pour", "into", "pouring pours pour", "out of", ""),
    ("on", PUT, "onto", TAKE, "off of", ""),
    ("on", PUT, "on", TAKE, "off", FOLLOWED),
    ("on", "attaching attaches attach", "to", "detaching detaches detach", "from", ""),
    ("hold", "picking picks pick", "up", "putting puts put", "down", r"(?=\W*$)"),
    ("open", "opening opens open", "", "closing closes close", "", ""),
    ("fold", "folding folds fold", "", "unfolding unfolds unfold", "", ""),
    ("wrap", "wrapping wraps wrap", "", "unwrapping unwraps unwrap", "", ""),
    ("zip", "zipping zips zip", "", "unzipping unzips unzip", "", ""),
    ("cover", "covering covers cover", "", "uncovering uncovers uncover", "", rf"(?!.*{enclose_words('with')})"),
    ("apart", "approaching approaches approach", "", "moving_away_from moves_away_from move_away_from", "", ""),
    ("height", LIFT, "", LOWER, "", ""),
    ("height", LIFT, "up", LOWER, "down", rf"(?:{ALONE}|{BEFORE_NOUN})"),
    *[("in", verb, "into", verb, "out of", "") for verb in f"{MOVING}, {GOING}".split(", ")],
    *[("on", verb, "onto", verb, "off of", "") for verb in f"{MOVING}, {GOING}".split(", ")],
    *[("height", verb, "up", verb, "down", ALONE) for verb in MOVING.split(", ")],
    *[("slope", verb, "up", verb, "down", BEFORE_NOUN) for verb in MOVING.split(", ")],
    *[("slope", verb, "up", verb, "down", rf"(?:{ALONE}|{BEFORE_NOUN})") for verb in GOING.split(", ")],
]

# axis, words, opposite words, what must follow
PHRASES = [
    ("side", "from left to right", "from right to left", ""),
    ("side", "from the left to the right", "from the right to the left", ""),
    ("side", "left to right", "right to left", ""),
    ("side", "to the right", "to the left", ""),
    ("side", "from the left", "from the right", ""),
    ("side", "rightwards", "leftwards", ""),
    ("side", "rightward", "leftward", ""),
    ("side", "right", "left", ALONE),
    ("beside", "to the right of", "to the left of", ""),
    ("beside", "on the right", "on the left", ""),
    ("height", "upwards", "downwards", ""),
    ("height", "upward", "downward", ""),
    ("height", "from bottom to top", "from top to bottom", ""),
    ("turn", "clockwise", COUNTER, ""),
    ("apart", "towards the camera", "away from the camera", ""),
    ("apart", "closer to the camera", "farther from the camera", ""),
    ("apart", "closer to", "away from", ""),
    ("apart", "towards", "further away from", ""),
    ("apart", "toward", "farther away from", ""),
    ("apart", "nearer to", "further from", ""),
    ("along", "forwards", "backwards", ""),
    ("along", "forward", "backward", ""),
    ("depth", "in front of", "behind", rf"(?!{BETWEEN}of\b)(?!.*{enclose_words('camera')}){FOLLOWED}"),
    ("level", "above", "below", FOLLOWED),
    ("level", "on top of", "underneath", FOLLOWED),
    ("inside", "inside", "outside", FOLLOWED),
]
CAMERA_PHRASES = [("height", "up", "down", ALONE)]  # `up` alone has too many senses for other verbs

OTHER_COUNTERS = ("counter clockwise", "counterclockwise", "anti clockwise", "anticlockwise")


def _list_cues() -> Iterator[tuple[str, Cue]]:
    """Each cue with its first word."""
    for axis, verbs, first, opposites, second, after in VERB_PAIRS:
        for number, (verb, opposite) in enumerate(zip(verbs.split(), opposites.split(), strict=True)):
            one, other = _split_parts(verb, first), _split_parts(opposite, second)
            yield from _make_cues(axis, one, other, after, bare=number == 2)
    for axis, words, opposite, after in PHRASES:
        yield from _make_cues(axis, (words,), (opposite,), after)
    for axis, words, opposite, after in CAMERA_PHRASES:
        yield from _make_cues(axis, (words,), (opposite,), after, of_camera=True)
    for words in OTHER_COUNTERS:
        yield words.split()[0], Cue("turn", 1, _build_pattern((words,), ""), ("clockwise",))


def _split_parts(verb: str, second: str) -> tuple[str, ...]:
    return (verb.replace("_", " "), second) if second else (verb.replace("_", " "),)


def _make_cues(
    axis: str, one: tuple[str, ...], other: tuple[str, ...], after: str, bare: bool = False, of_camera: bool = False
) -> Iterator[tuple[str, Cue]]:
    for side, parts, instead in ((0, one, other), (1, other, one)):
        first = WORD.findall(parts[0])[0]
        kept = len(parts) == 2 and parts[0] == instead[0]  # the verb: moving up, moving down
        yield first, Cue(axis, side, _build_pattern(parts, after, kept), instead[kept:], bare, of_camera)


def _build_pattern(parts: tuple[str, ...], after: str, kept: bool = False) -> str:
    # "Putting on" and "taking off" are not motions, "putting something on" is; "on top of" has its own entry.
    particle = parts[-1] in ("on", "off")
    gap = rf"{BETWEEN}(?:\S.*?{BETWEEN}){'' if particle else '?'}"
    last = f"(?!{BETWEEN}(?:top|of)\\b)" if particle else ""
    groups = [f"({enclose_words(part)})" for part in parts]
    groups[0] = enclose_words(parts[0]) if kept else groups[0]
    return gap.join(groups) + last + after


def _index_cues(cues: Iterable[tuple[str, Cue]]) -> dict[str, list[Cue]]:
    found: dict[str, list[Cue]] = defaultdict(list)
    for word, cue in cues:
        found[word].append(cue)
    return dict(found)


CUES = _index_cues(_list_cues())  # first word -> cues
