"""Exports of VGG Image Annotator 3: projects as JSON, and both variants of CSV -> rows.

`z` is the time of an annotation: start and end in seconds, one number for a still frame, empty for the whole file.
Select, radio and checkbox attributes have option numbers as values. The header of the CSV is in a comment.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.corpus import LabelRow, as_text
from pipeline.corpus.readers.exports import (
    LabelledPart,
    MediaFiles,
    as_list,
    as_object,
    as_seconds,
    choose_names,
    read_exports,
)
from pipeline.corpus.readers.json_files import read_content
from pipeline.corpus.text_files import read_text_lines
from pipeline.errors import UserError
from pipeline.params import DatasetParams

TOOL = "VIA 3"
ENDINGS = (".json", ".csv", ".tsv")
REMEDY = "export the project again"
PROJECT = {"project", "attribute", "file", "metadata", "view"}  # keys of a project
HEADER = "CSV_HEADER"
CHECKBOX = 2  # type of attributes with several selected options
DEFAULT = "_DEFAULT"  # value that was not set
OF_PARTS, OF_FILES = 2, 0  # number of times of annotations of parts and of files


class Attribute(NamedTuple):
    """An attribute of annotations; `options` by number, empty for free text."""

    name: str
    options: dict[str, str]
    default: str
    several: bool


class Annotation(NamedTuple):
    """An annotation: files, times, and values by attribute id."""

    files: list[str]
    times: list[Any]
    values: Mapping[str, Any]


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """A row for each annotation. Raises UserError if the labels are no export of VIA."""
    media = MediaFiles(Path(dataset.videos))
    return read_exports(labels, dataset, media, ENDINGS, TOOL, lambda path: _read_parts(path, dataset))


def detect(path: Path, content: Any) -> str:
    """Why this is an export of VIA, by JSON or the first lines of a table; empty if it is not."""
    if isinstance(content, Mapping):
        return "it is a project with attributes, views and metadata" if content.keys() >= PROJECT else ""
    commented = isinstance(content, list) and any(HEADER in str(line) for line in content)
    return f"{path.name} has its header in a comment" if commented else ""


def _read_parts(path: Path, dataset: DatasetParams) -> Iterator[LabelledPart]:
    reader = _read_project if path.suffix.lower() == ".json" else _read_table
    attributes, annotations = reader(path)
    times = OF_PARTS if any(len(annotation.times) == OF_PARTS for annotation in annotations) else OF_FILES
    names = _list_names(attributes, (annotation for annotation in annotations if len(annotation.times) == times))
    known = _list_names(attributes, annotations)
    category, caption = choose_names(path, dataset, "attribute", known)
    if category is None and caption is None and len(names) > 1:
        detail = f"has several attributes: {', '.join(names)[:300]}"
        raise UserError(f"{path}: {detail}; name one in dataset.columns.category, caption or both")
    only = category or (names[0] if names and caption is None else None)
    chosen = {name: aid for aid, attribute in attributes.items() if (name := attribute.name) in (only, caption)}
    if only:
        _refuse_numbers(
            path, attributes[chosen[only]], [annotation.values.get(chosen[only]) for annotation in annotations]
        )
    for annotation in annotations:
        classes = _list_values(attributes, annotation, chosen[only]) if only else [None]
        texts = _list_values(attributes, annotation, chosen[caption]) if caption else [None]
        for label in classes or [""]:
            yield _make_part(annotation, label, " ".join(map(str, texts)) if caption else None)


def _list_names(attributes: Mapping[str, Attribute], annotations: Iterable[Annotation]) -> list[str]:
    """The names of the attributes with values in annotations."""
    used = dict.fromkeys(aid for annotation in annotations for aid in annotation.values)
    return list(dict.fromkeys(attributes[aid].name for aid in used if aid in attributes))


def _make_part(annotation: Annotation, category: str | None, caption: str | None) -> LabelledPart:
    video = annotation.files[0] if annotation.files else ""
    detail, point = "", None
    if len(annotation.files) > 1:
        detail = f"is about {len(annotation.files)} files at once"
    elif len(annotation.times) == 1:
        detail, point = f"{annotation.times[0]} s alone is a still picture", as_seconds(annotation.times[0])
    elif len(annotation.times) > OF_PARTS:
        detail = f"has {len(annotation.times)} times, not a start and an end"
    if detail or not annotation.times:
        return LabelledPart(video, category, caption, fault=detail, point=point)
    start, end = (as_seconds(time) for time in annotation.times)
    lost = "" if start is not None and end is not None else "has no start or no end"
    return LabelledPart(video, category, caption, start, end, lost)


def _list_values(attributes: Mapping[str, Attribute], annotation: Annotation, aid: str) -> list[str | None]:
    """The text of an annotation for an attribute, or the names of the selected options."""
    attribute, value = attributes[aid], as_text(annotation.values.get(aid))
    if value == DEFAULT:
        value = attribute.default
    chosen = value.split(",") if attribute.several else [value]
    return [attribute.options.get(text.strip(), text.strip()) for text in chosen if text.strip()]


def _refuse_numbers(path: Path, attribute: Attribute, values: Sequence[Any]) -> None:
    """Raise UserError if all values are option numbers and the file lacks the names of options."""
    said = [text for value in values if (text := as_text(value)) not in ("", DEFAULT)]
    if said and not attribute.options and all(text.isdecimal() for text in said):
        detail = f"holds the numbers of the options of {attribute.name!r}, not their names"
        raise UserError(f"{path}: {detail}; save the project, or export it as CSV with all annotations")


def _read_project(path: Path) -> tuple[dict[str, Attribute], list[Annotation]]:
    content = read_content(path, REMEDY)
    if not isinstance(content, dict) or not content.keys() >= PROJECT:
        raise UserError(f"{path}: not a project of {TOOL}, which holds {', '.join(sorted(PROJECT))}; {REMEDY}")
    if not all(isinstance(content[name], dict) for name in PROJECT):
        raise UserError(f"{path}: of {', '.join(sorted(PROJECT))} one is not an object; {REMEDY}")
    files = {fid: _name_file(file) for fid, file in content["file"].items()}
    views = {
        vid: [files.get(as_text(fid), "") for fid in as_list(as_object(view).get("fid_list"))]
        for vid, view in content["view"].items()
    }
    annotations = [
        Annotation(views.get(as_text(found.get("vid")), []), as_list(found.get("z")), as_object(found.get("av")))
        for found in content["metadata"].values()
        if isinstance(found, dict)
    ]
    return _read_attributes(content["attribute"]), annotations


def _name_file(file: Any) -> str:
    """The URL of a file if it has one, else its name."""
    file = as_object(file)
    source, name = as_text(file.get("src")), as_text(file.get("fname"))
    return name if not source or source.startswith(("data:", "blob:")) else source


def _read_table(path: Path) -> tuple[dict[str, Attribute], list[Annotation]]:
    lines = read_text_lines(path)
    comments = [line.strip().strip('"') for line in lines if _is_comment(line)]
    stated = next((line for line in comments if HEADER in line), None)
    if stated is None:
        raise UserError(f"{path}: has no comment with {HEADER}, as exports of {TOOL} have; {REMEDY}")
    sign = "\t" if "\t" in stated else ";" if ";" in stated else ","
    header = [name.strip().strip('"') for name in stated.partition("=")[2].split(sign)]
    try:
        listed = list(csv.reader((line for line in lines if line.strip() and not _is_comment(line)), delimiter=sign))
    except csv.Error as error:
        raise UserError(f"{path}: {error}; {REMEDY}") from None
    rows = []
    for cells in listed:
        row = dict(zip(header, cells, strict=False))
        times = _parse(row.get("temporal_coordinates", ""), list)
        if "temporal_segment_start" in row:
            pair = [row["temporal_segment_start"], row.get("temporal_segment_end", "")]
            times = [time for time in pair if time.strip() not in ("", "undefined")]
        files = [as_text(name) for name in _parse(row.get("file_list", ""), list)]
        rows.append(Annotation(files, times, _parse(row.get("metadata", ""), dict)))
    attributes = _read_attributes(_parse_comment(comments))
    ids = dict.fromkeys(aid for row in rows for aid in row.values)
    # The short variant has names in place of ids, and no list of attributes.
    return {aid: attributes.get(aid, Attribute(aid, {}, "", False)) for aid in ids} | attributes, rows


def _parse_comment(comments: Sequence[str]) -> dict[str, Any]:
    """The attributes in a comment, as written by VIA or saved by a spreadsheet: quoted, with doubled quotes."""
    line = next((line for line in comments if line.startswith(("# ATTRIBUTE =", "# ATTRIBUTES ="))), "")
    text = line.partition("=")[2].strip().rstrip(",;\t").removesuffix('"').strip()
    for spelt in (text, text.replace('""', '"')):
        if found := _parse(spelt, dict):
            return dict(found)
    return {}


def _read_attributes(stated: Mapping[str, Any]) -> dict[str, Attribute]:
    found = {}
    for aid, value in stated.items():
        said = as_object(value)  # old exports have only the name
        options = {key: as_text(option) for key, option in as_object(said.get("options")).items()}
        name = as_text(said.get("aname")) or as_text(value) or aid
        several = said.get("type") == CHECKBOX
        free = said.get("type") == 1
        found[aid] = Attribute(name, {} if free else options, as_text(said.get("default_option_id")), several)
    return found


def _parse(cell: str, kind: type[Any]) -> Any:
    """The JSON in a cell; an empty list or object if it is not of this type."""
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return kind()
    return found if isinstance(found, kind) else kind()


def _is_comment(line: str) -> bool:
    return line.lstrip().lstrip('"').startswith("#")
