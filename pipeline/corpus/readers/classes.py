"""Files of class names, as datasets provide them with their labels -> class number -> name.

Supported are lines `0 Name`, `Name 0`, `c000 Name`, `ANG Name` or `Name`, numbered from 0; the files of FineGym and
AVA; and JSON: a list of names or of lists of words, or an object of names by number or code, or of numbers by name.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.corpus.text_files import read_text_lines
from pipeline.errors import UserError
from pipeline.files import read_json
from pipeline.params import DatasetParams
from pipeline.sources.tables import is_table, read_class_names

Pairs = list[tuple[str, str]]  # number or code, name

NUMBERED = re.compile(r"\s*(\d+)[\s,;:]+(\S.*?)\s*|\s*(\S.*?)[\s,;:]+(\d+)\s*")
CODE = re.compile(r"[A-Za-z]\d+")  # of Charades
CODED = re.compile(rf"\s*({CODE.pattern})[\s,;:.]+(\S.*?)\.?\s*")
# Codes in capitals, as in the file names of CREMA-D: names in capitals alone are no codes.
CAPITALS = re.compile(r"\s*([A-Z][A-Z0-9]{1,5})[\s,;:]+(?=.*[a-z])(\S.*?)\s*")
LABELLED = re.compile(r"\s*[CG]label:\s*(\d+);.*;\s*(\S[^;]*?)\s*")  # of FineGym
MESSAGE = re.compile(r'name:\s*"([^"]+)"\s*(?:label_)?id:\s*(\d+)')  # of AVA, a protocol buffer as text


def read_classes(path: Path) -> dict[str, str]:
    """Class number or code -> name. Raises UserError if a number is duplicate, or the file has another format."""
    pairs = _list_json(path) if path.suffix.lower() == ".json" else _list_lines(_read_lines(path))
    named = {_normalise(number): name for number, name in pairs}
    if len(named) < len(pairs):
        raise UserError(f"{path}: names a class number twice; see dataset.classes")
    # The codes of Charades are also used as numbers: c012 is 12.
    return named | {str(int(code[1:])): name for code, name in named.items() if CODE.fullmatch(code)}


def read_named_classes(labels: Path, dataset: DatasetParams) -> dict[str, str]:
    """The classes of `dataset.classes`, a file in the folder of labels; empty if it is not set."""
    if not dataset.classes:
        return {}
    if not labels.is_dir():
        raise UserError(f"{labels}: make dataset.labels the folder that holds both these labels and dataset.classes")
    return read_classes(labels / dataset.classes)


def number_names(table: Path, column: str | int | None) -> dict[str, str]:
    """The class names stored in a Parquet or Arrow table for a column of class numbers; empty if there are none.

    Raises UserError if the table is broken.
    """
    named = read_class_names(table) if is_table(table) and table.is_file() else {}
    return named.get(str(column), {})


def find_name(label: str, classes: Mapping[str, str]) -> str | None:
    """The name of a class by its number, code or name; None if there is no such class."""
    plain = _normalise(label.strip())
    number = str(int(plain[1:])) if CODE.fullmatch(plain) else plain  # A1 of A001
    return classes.get(plain) or (plain if plain in classes.values() else classes.get(number))


def _normalise(number: str) -> str:
    return str(int(number)) if number.isdecimal() else number


def _read_lines(path: Path) -> list[str]:
    """The lines. Raises UserError for a table with several names of a class, as of AUTSL: `ClassId,TR,EN`."""
    lines = [line for line in read_text_lines(path) if line.strip()]
    if len(lines) > 2 and len({line.count(",") for line in lines}) == 1 and not NUMBERED.fullmatch(lines[0]):
        _, *names = lines[0].split(",")
        if len(names) > 1:
            raise UserError(f"{path}: has several names for each class, {', '.join(names)}; keep one of these columns")
    return lines


def _list_lines(lines: Sequence[str]) -> Pairs:
    if message := MESSAGE.findall("\n".join(lines)):
        return [(number, name) for name, number in message]
    for pattern in (LABELLED, CODED, NUMBERED, CAPITALS):
        found = [pattern.fullmatch(line) for line in lines]
        pairs = [(match[1] or match[4], match[2] or match[3]) for match in found if match]
        if pattern is CAPITALS and len({code for code, _ in pairs}) < len(pairs):  # first words of names
            continue
        if all(found) or (all(found[1:]) and len(found) > 2):  # possibly after a header
            return pairs
    return [(str(number), line.strip().strip('"')) for number, line in enumerate(lines)]


def _list_json(path: Path) -> Pairs:
    content: Any = read_json(path, "see dataset.classes")
    if isinstance(content, list):
        return [(str(number), _spell(path, name)) for number, name in enumerate(content)]
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no names of classes, but {json.dumps(content)[:80]}; see dataset.classes")
    numbers = all(str(value).isdecimal() or CODE.fullmatch(str(value)) for value in content.values())
    by_name = numbers and not all(str(key).isdecimal() for key in content)
    return [(str(value), key) if by_name else (key, _spell(path, value)) for key, value in content.items()]


def _spell(path: Path, name: Any) -> str:
    """A name, given as text or as a list of words, as text."""
    words = name if isinstance(name, list) else [name]
    if not words or not all(isinstance(word, str) for word in words):
        raise UserError(f"{path}: {json.dumps(name)[:80]} is not a class name; see dataset.classes")
    return " ".join(words)
