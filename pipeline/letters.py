"""Words in any script: letters and digits with their combining marks; and symbols spelled as words."""

import re
import unicodedata
from functools import cache

JOINERS = "\u200c\u200d"  # invisible, but part of the spelling in some scripts
PLAIN = re.compile(r"[^\W_]+")
CAMEL_CASE = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"  # between the words of `trainSet` and `UCFTrain`
# Marks that only change the rendering: variation selectors, and the combining grapheme joiner
NOT_SPELT = {0x34F, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)}
LAST_MARK = 0x1F000  # above are variation selectors only

# Short names of symbols that distinguish names; all others have their Unicode names.
SYMBOLS = {
    "+": "plus",
    "#": "sharp",
    "&": "and",
    "%": "percent",
    "$": "dollar",
    "@": "at",
    "=": "equals",
    "\u2212": "minus",
}
NOT_COUNTED = frozenset("|`^\u2044")  # used as separators or quotes
MINUS = re.compile(r"(?<![^\s(\[,;:/])-(?=[.,]?\d)")
MAY_BE_SYMBOL = re.compile(r"[^\w\s!\"'(),./:;?\[\]\\-]|(?<!\w)-")


@cache
def build_word_pattern() -> str:
    """A regular expression of a word, including marks such as Hindi, Thai and Arabic vowels."""
    marks = _list_marks()
    return rf"[^\W_][{marks}]*(?:(?:(?<=[^\x00-\x7f])[{JOINERS}]+)?[^\W_][{marks}]*)*"


def find_words(text: str) -> list[str]:
    """The words of a text in order, separated by anything but letters, digits and their marks."""
    return (PLAIN if text.isascii() else _compile_word()).findall(text)


def spell_symbols(text: str) -> str:
    """The text with symbols spelled as words: `C++` -> `C plus plus`, `-1` -> `minus 1`.

    Punctuation, brackets and hyphens are kept, since comparisons of names ignore them.
    """
    if not MAY_BE_SYMBOL.search(text):
        return text
    return "".join(_spell(letter) for letter in MINUS.sub(" minus ", text))


def _spell(letter: str) -> str:
    if letter in SYMBOLS:
        return f" {SYMBOLS[letter]} "
    if letter.isalnum() or letter in NOT_COUNTED or unicodedata.category(letter) not in ("Sm", "Sc", "So"):
        return letter
    return f" {unicodedata.name(letter, '').lower()} "


@cache
def _compile_word() -> re.Pattern[str]:
    return re.compile(build_word_pattern())


@cache
def _list_marks() -> str:
    """All combining marks of words, as the inside of a character class."""
    ranges: list[list[int]] = []
    for code in range(0x300, LAST_MARK):
        if unicodedata.category(chr(code)) in ("Mn", "Mc") and code not in NOT_SPELT:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
