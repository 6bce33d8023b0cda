"""Text files of labels in the encodings that programs save them in -> text.

Read are UTF-8, UTF-16 and UTF-32, which their first bytes tell, and Windows-1252, in which Excel saves CSV in western
Europe. Any bytes are something in Windows-1252, so it is taken only where the letters stand as they do in words, and
what comes of it is printed.
"""

import codecs
import re
import sys
from pathlib import Path
from typing import TextIO

from pipeline.errors import UserError
from pipeline.files import refuse_lfs_pointer

BLOCK = 1 << 20  # bytes read at once
MARKS = {  # at the start of a file; that of UTF-16 is also the start of another one
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
UNMARKED = {(False, True): "utf-16-le", (True, False): "utf-16-be"}  # which of two bytes are NUL in ASCII text
WESTERN = "cp1252"

LOWER, UPPER = "ß-öø-ÿšœž", "À-ÖØ-ÞŠŒŽŸ"
LETTER = f"A-Za-z{LOWER}{UPPER}"
# What bytes of other encodings show in Windows-1252, and western text hardly ever has.
ODD = re.compile(
    rf"[{LOWER}{UPPER}]{{3}}"  # words without a plain letter: Cyrillic, Greek, Hebrew, Arabic, Chinese
    rf"|(?<=[a-z{LOWER}])[{UPPER}]"  # capitals within words: MacRoman
    rf"|(?<=[{LETTER}])[^\x00-\x7f{LETTER}’–—…·\xa0\xad](?=[{LETTER}])"  # noqa: RUF001  signs within words: DOS
    rf"|[¹²³][a-z{LOWER}]|[{LETTER}]{{3}}[¹²³]"  # and at their ends, where 5 m² is none: Polish
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7fˆ˜¤¦¨¬¯¶¸þð†‡‰]"  # noqa: RUF001
)
SHOWN = 60  # letters of a line

_told: set[Path] = set()  # folders of which a file in Windows-1252 was printed


def open_text(path: Path) -> TextIO:
    """The file, whose lines keep their ends. Raises UserError for an encoding that is not known."""
    return path.open(encoding=find_encoding(path), newline="")


def read_text_lines(path: Path) -> list[str]:
    """The lines without their ends, of any system. Raises UserError if there is no such file, or it is no text."""
    if not path.is_file():  # a pipe would keep us reading for ever
        raise UserError(f"{path}: no such file of text")
    refuse_lfs_pointer(path)
    try:
        with path.open(encoding=find_encoding(path)) as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise refuse_encoding(path, error) from None
    return text.removesuffix("\n").split("\n") if text else []


def decode_text(path: Path, content: bytes) -> str:
    """The text in the bytes of a file, as what is at `path` in an archive. Raises UserError if it is none."""
    try:
        return content.decode(_find_mark(content[:4]) or "utf-8")
    except UnicodeDecodeError as error:
        return content.decode(_check_western(path, content, refuse_encoding(path, error)))


def read_start(path: Path, length: int) -> str:
    """The text in the first bytes of a file, to tell what it is; what is no text there is replaced."""
    with path.open("rb") as file:
        start = file.read(length)
    return start.decode(_find_mark(start) or "utf-8", "replace")


def find_encoding(path: Path) -> str:
    """The name of a text file's encoding. Raises UserError if it is none of those that are read."""
    with path.open("rb") as file:
        if marked := _find_mark(file.read(4)):
            return marked
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        at = 0  # bytes before the block and what is left of the one before it
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
    """The error for a file whose bytes are no text in a known encoding, `before` the part that the error is about."""
    kind = "UTF-8" if error.encoding.startswith("utf-8") else error.encoding.upper()
    ways = "save it as UTF-8 (in Excel: CSV UTF-8; in a terminal: iconv -f ENCODING -t UTF-8)"
    return UserError(f"{path}: not {kind} ({error.reason} at byte {before + error.start}); {ways}")


def _find_mark(start: bytes) -> str | None:
    marked = next((name for mark, name in MARKS.items() if start.startswith(mark)), None)
    empty = [not byte for byte in start[:4]]
    return marked or (UNMARKED.get((empty[0], empty[1])) if len(empty) == 4 and empty[:2] == empty[2:] else None)


def _check_western(path: Path, content: bytes, error: UserError) -> str:
    """Windows-1252 where the text can be that, which is printed; raises the error if it cannot."""
    try:
        text = content.decode(WESTERN)
    except UnicodeDecodeError:
        raise error from None
    if ODD.search(text):
        raise error
    if path.parent not in _told:
        _told.add(path.parent)
        number, line = next((n, line) for n, line in enumerate(text.split("\n"), 1) if not line.isascii())
        told = f"is not UTF-8 and is read as Windows-1252, in which line {number} is {line.strip()[:SHOWN]!r}"
        print(f"filter: {path} {told}; if that is wrong, save it as UTF-8", file=sys.stderr)
    return WESTERN
