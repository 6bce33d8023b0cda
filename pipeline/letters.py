"""Words of every script: letters and digits with the marks that belong to them; and symbols as words."""

import re
import unicodedata
from functools import cache

JOINERS = "\u200c\u200d"  # invisible, but some scripts spell with them
PLAIN = re.compile(r"[^\W_]+")
# They only change how a letter is drawn: variation selectors, and one that joins nothing
NOT_SPELT = {0x34F, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)}
LAST_MARK = 0x1F000  # behind it are variation selectors alone

# Symbols that tell one name from another, by short names; all others have those of Unicode.
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
NOT_COUNTED = frozenset("|`^\u2044")  # typed between names, or as quotes
MINUS = re.compile(r"(?<![^\s(\[,;:/])-(?=[.,]?\d)")
MAY_BE_SYMBOL = re.compile(r"[^\w\s!\"'(),./:;?\[\]\\-]|(?<!\w)-")


@cache
def build_word_pattern() -> str:
    """A regular expression of one word: Hindi and Thai vowels, Arabic vowels and other marks are part of it."""
    marks = _list_marks()
    return rf"[^\W_][{marks}]*(?:(?:(?<=[^\x00-\x7f])[{JOINERS}]+)?[^\W_][{marks}]*)*"


def find_words(text: str) -> list[str]:
    """The words of a text in order; whatever is neither a letter nor a digit nor a mark of one separates them."""
    return (PLAIN if text.isascii() else _compile_word()).findall(text)


def spell_symbols(text: str) -> str:
    """The text with symbols that tell one name from another as words: `C++` -> `C plus plus`, `-1` -> `minus 1`.

    Punctuation, brackets and hyphens stay: they do not count where names are compared.
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
    """All marks that are part of a word, as the inside of a class of a regular expression."""
    ranges: list[list[int]] = []
    for code in range(0x300, LAST_MARK):
        if unicodedata.category(chr(code)) in ("Mn", "Mc") and code not in NOT_SPELT:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
