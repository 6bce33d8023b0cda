"""Text files of labels -> text, with detection of the encoding.

Supported are UTF-8, UTF-16 and UTF-32, detected by the first bytes, and Windows-1252, in which Excel saves CSV in
western Europe. Almost any bytes are valid Windows-1252, so it is used only if the letters occur as in words, and the
choice is printed.
"""

import codecs
import re
import sys
from pathlib import Path
from typing import TextIO

from pipeline.errors import UserError
from pipeline.files import refuse_lfs_pointer

BLOCK = 1 << 20  # bytes read at once
MARKS = {  # byte order marks; that of UTF-16 is a prefix of one of UTF-32
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
UNMARKED = {(False, True): "utf-16-le", (True, False): "utf-16-be"}  # which of two bytes is NUL for ASCII text
WESTERN = "cp1252"

LOWER, UPPER = "ß-öø-ÿšœž", "À-ÖØ-ÞŠŒŽŸ"
LETTER = f"A-Za-z{LOWER}{UPPER}"
# Sequences that other encodings give when read as Windows-1252, and that hardly occur in western text.
ODD = re.compile(
    rf"[{LOWER}{UPPER}]{{3}}"  # words without a plain letter: Cyrillic, Greek, Hebrew, Arabic, Chinese
    rf"|(?<=[a-z{LOWER}])[{UPPER}]"  # capitals within words: MacRoman
    rf"|(?<=[{LETTER}])[^\x00-\x7f{LETTER}’–—…·\xa0\xad](?=[{LETTER}])"  # noqa: RUF001  signs within words: DOS
    rf"|[¹²³][a-z{LOWER}]|[{LETTER}]{{3}}[¹²³]"  # and at their ends, where 5 m² is none: Polish
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7fˆ˜¤¦¨¬¯¶¸þð†‡‰]"  # noqa: RUF001
)
SHOWN = 60  # characters of a line

_told: set[Path] = set()  # folders for which Windows-1252 was reported


def open_text(path: Path) -> TextIO:
    """Open a file with its encoding, keeping line ends. Raises UserError if the encoding is unknown."""
    return path.open(encoding=find_encoding(path), newline="")


def read_text_lines(path: Path) -> list[str]:
    """The lines without line ends, of any system. Raises UserError if there is no such file, or it is not text."""
    if not path.is_file():  # reading a pipe could block forever
        raise UserError(f"{path}: no such file of text")
    refuse_lfs_pointer(path)
    try:
        with path.open(encoding=find_encoding(path)) as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise refuse_encoding(path, error) from None
    return text.removesuffix("\n").split("\n") if text else []


def decode_text(path: Path, content: bytes) -> str:
    """Decode the content of a file, for example of `path` in an archive. Raises UserError if it is not text."""
    try:
        return content.decode(_find_mark(content[:4]) or "utf-8")
    except UnicodeDecodeError as error:
        return content.decode(_check_western(path, content, refuse_encoding(path, error)))


def read_start(path: Path, length: int) -> str:
    """The first bytes of a file as text, to detect its format; invalid bytes are replaced."""
    with path.open("rb") as file:
        start = file.read(length)
    return start.decode(_find_mark(start) or "utf-8", "replace")


def find_encoding(path: Path) -> str:
    """The name of a text file's encoding. Raises UserError if it is not supported."""
    with path.open("rb") as file:
        if marked := _find_mark(file.read(4)):
            return marked
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        at = 0  # offset of the first byte that is not decoded yet
        try:
            while block := file.read(BLOCK):
                decoder.decode(block)
                at = file.tell() - len(decoder.getstate()[0])
            decoder.decode(b"", True)
        except UnicodeDecodeError as error:
            file.seek(0)
            return _check_western(path, file.read(), refuse_encoding(path, error, at))
    return "utf-8"


def refuse_encoding(path: Path, error: UnicodeDecodeError, before: int = 0) -> UserError:
    """The error for a file in an unknown encoding; `before` is the offset of the bytes that `error` is about."""
    kind = "UTF-8" if error.encoding.startswith("utf-8") else error.encoding.upper()
    ways = "save it as UTF-8 (in Excel: CSV UTF-8; in a terminal: iconv -f ENCODING -t UTF-8)"
    return UserError(f"{path}: not {kind} ({error.reason} at byte {before + error.start}); {ways}")


def _find_mark(start: bytes) -> str | None:
    marked = next((name for mark, name in MARKS.items() if start.startswith(mark)), None)
    empty = [not byte for byte in start[:4]]
    return marked or (UNMARKED.get((empty[0], empty[1])) if len(empty) == 4 and empty[:2] == empty[2:] else None)


def _check_western(path: Path, content: bytes, error: UserError) -> str:
    """Windows-1252 if the text is plausible in it, which is printed; else raises the error."""
    try:
        text = content.decode(WESTERN)
    except UnicodeDecodeError:
        raise error from None
    if ODD.search(text):
        raise error
    if path.parent not in _told:
        _told.add(path.parent)
        number, line = next((n, line) for n, line in enumerate(text.split("\n"), 1) if not line.isascii())
        message = f"is not UTF-8 and is read as Windows-1252, in which line {number} is {line.strip()[:SHOWN]!r}"
        print(f"filter: {path} {message}; if that is wrong, save it as UTF-8", file=sys.stderr)
    return WESTERN
