"""What separates the cells of a table: what params name, what its first line shows, or what its ending stands for."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

DELIMITERS = {"comma": ",", "tab": "\t", "semicolon": ";", "blank": " "}
SHOWN = (",", "\t", ";")  # what a first line may show; blanks are in any name
STATED = re.compile(r'"?sep=([,;\t])"?[\r\n]*', re.IGNORECASE)  # a first line of Excel's, which is no row


def find_delimiter(file: TextIO, path: Path, delimiter: str | None) -> str:
    """The sign between the cells; the file then stands where the names of the columns begin.

    Excel writes semicolons into a .csv where a comma is the decimal sign: they count if the first line holds no comma.
    """
    line = file.readline()
    stated = STATED.fullmatch(line)
    if not stated:
        file.seek(0)
    if delimiter:
        return DELIMITERS[delimiter]
    if stated:
        return stated[1]
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    return usual if len(split_names(line, usual)) > 1 else _find_only(line, usual)


def split_names(line: str, sign: str) -> list[str]:
    """The names of the columns in a line."""
    return [name.strip() for name in next(csv.reader([line], delimiter=sign, skipinitialspace=True), [])]


def tell_delimiter(header: Sequence[str], sign: str) -> str:
    """What else seems to separate the columns; empty where nothing does."""
    line = sign.join(header)
    for name, other in DELIMITERS.items():
        if other in SHOWN and other != sign and other in line and len(header) == 1:
            told = f"they are separated by {other!r}, not {sign!r}: the delimiter is wrong, set dataset.delimiter: "
            return f"; {told}{name}. A list without names of columns is read by dataset.format lists"
    return ""


def _find_only(line: str, usual: str) -> str:
    """The one other sign that a line is separated by; the usual one where none is, or several may be."""
    found = [sign for sign in SHOWN if sign != usual and len(split_names(line, sign)) > 1]
    return found[0] if len(found) == 1 else usual
