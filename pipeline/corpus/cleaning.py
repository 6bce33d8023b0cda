"""Captions as people typed them -> one line of plain text."""
# ruff: noqa: RUF001 - look-alike letters are what this file is about

import re
import unicodedata

QUOTES = str.maketrans({"‘": "'", "’": "'", "`": "'", "´": "'", "“": '"', "”": '"'})
# Cyrillic and Greek letters that look like Latin ones, in the order of the Latin ones below.
LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһАВЕКМНОРСТУХІЈЅοανΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "aeopcyxijsdhABEKMHOPCTYXIJSoavABEZHIKMNOPTYX"
)
CLEAN = re.compile(r"(?:[!-\[\]-_a-~]+ )*[!-\[\]-_a-~]+")  # nearly every caption: ASCII without \ and `
ESCAPED_QUOTE = re.compile(r"\\+(?=[\"'])")
JOINERS = "\u200c\u200d"  # invisible, but some scripts spell with them


def clean_text(text: str) -> str:
    """The text on one line: no control or invisible characters, stray escapes, look-alike letters or doubled spaces.

    Case and punctuation stay. The result can always be written as UTF-8 and cleans to itself.
    """
    if CLEAN.fullmatch(text):
        return text
    text = _printable(text)
    if not text.isascii():
        text = _printable(unicodedata.normalize("NFKC", text))
    text = text.translate(QUOTES)
    text = ESCAPED_QUOTE.sub("", text).replace("\\", " ")
    if not text.isascii():
        text = _latin(text)
    return " ".join(text.split())


def writable_text(text: str) -> str:
    """The text as it is; what cannot be written as UTF-8, a lone surrogate, is spelt as an escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(_visible(letter) for letter in text)


def _visible(letter: str) -> str:
    if letter.isprintable() or letter in JOINERS:
        return letter
    # A zero-width character stands inside a word, a control character or a wide space between two.
    return "" if unicodedata.category(letter) in ("Cf", "Cs", "Co", "Cn") else " "


def _latin(text: str) -> str:
    """Look-alike letters become Latin where the text as a whole is Latin and so is the rest of their word."""
    letters = [letter for letter in text if letter.isalpha()]
    if 2 * sum(letter.isascii() for letter in letters) <= len(letters):
        return text
    return " ".join(_latin_word(word) for word in text.split())


def _latin_word(word: str) -> str:
    replaced = word.translate(LOOKALIKES)
    foreign = any(letter.isalpha() and "LATIN" not in unicodedata.name(letter, "") for letter in replaced)
    return word if foreign else replaced
