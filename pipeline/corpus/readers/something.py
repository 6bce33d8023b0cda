"""Labels of Something-Something-V2 -> rows.

They are lists of {"id", "label", "template", "placeholders"}; some derived files lack the last. The labels are one such
file, or a folder with those for training and validation.
"""

import json
from pathlib import Path
from typing import Any

from pipeline.corpus import LabelRow, OfficialSplit, as_text
from pipeline.corpus.readers.json_files import read_content
from pipeline.errors import UserError
from pipeline.params import DatasetParams
from pipeline.records import SLOT

FIELDS = ("id", "label", "template")
FILES: dict[OfficialSplit, tuple[str, str]] = {
    "train": ("train.json", "something-something-v2-train.json"),
    "validation": ("validation.json", "something-something-v2-validation.json"),
}


def read_rows(labels: Path, _: DatasetParams) -> list[LabelRow]:
    """All rows, in file order. Raises UserError if a file is missing or not JSON, or a row lacks a field."""
    if labels.is_dir():
        train, validation = _find_official(labels, "train"), _find_official(labels, "validation")
        if train is None:
            raise UserError(f"{labels}: holds neither {' nor '.join(FILES['train'])}; see dataset.labels")
        if validation is None:
            return _read_official(train, "all")
        return _read_official(train, "train") + _read_official(validation, "validation")
    if not labels.is_file():
        drawn = labels.parts[-3:] == ("data", "demo", "labels")
        remedy = "`make demo` or `dvc repro` draws it" if drawn else "set dataset.labels to a JSON file or its folder"
        raise UserError(f"{labels}: no such labels; {remedy}")
    return _read_official(labels, "all")


def _find_official(folder: Path, split: OfficialSplit) -> Path | None:
    found = [folder / name for name in FILES[split] if (folder / name).is_file()]
    if len(found) > 1:
        raise UserError(f"{folder}: holds both {found[0].name} and {found[1].name}; remove one of them")
    return found[0] if found else None


def _read_official(path: Path, split: OfficialSplit) -> list[LabelRow]:
    listed = read_content(path)
    if not isinstance(listed, list):
        hint = "; this may be the list of categories, labels.json" if isinstance(listed, dict) else ""
        raise UserError(f"{path}: holds no list of rows with {', '.join(FIELDS)}{hint}")
    return [_make_row(item, split, path, f"entry {number}") for number, item in enumerate(listed, 1)]


def _make_row(item: Any, split: OfficialSplit, path: Path, where: str) -> LabelRow:
    if not isinstance(item, dict):
        raise UserError(f"{path}: {where} is not an object with {', '.join(FIELDS)}, but {_shorten(item)}")
    for field in FIELDS:
        if field not in item:
            raise UserError(f"{path}: {where} lacks {field!r}: {_shorten(item)}")
    listed = item.get("placeholders")
    label, template = as_text(item["label"]), as_text(item["template"])
    if SLOT.search(label) and not SLOT.search(template):  # swapped in some derived files
        label, template = template, label
    return LabelRow(
        id=as_text(item["id"]),
        label=label,
        template=template,
        placeholders=tuple(as_text(value) for value in listed) if isinstance(listed, list) else (),
        objects=(),
        official_split=split,
        location=(path.name, where),
        video="",
    )


def _shorten(item: Any) -> str:
    text = json.dumps(item)
    return text if len(text) <= 120 else f"{text[:117]}..."
