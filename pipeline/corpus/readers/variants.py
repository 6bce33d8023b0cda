"""Variants of published datasets, and those that several of them share; `known_sets` lists all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.corpus.readers.json_files import KEY, TRACKED_FOLDER, TRACKED_OBJECTS
from pipeline.corpus.readers.set_cells import blank_placeholders, name_piece, spell_labels
from pipeline.corpus.readers.table import Change


@dataclass(frozen=True, slots=True)
class Variant:
    """The values of `dataset` for a variant of a dataset, and how it is recognised."""

    columns: Mapping[str, str | int]  # key of dataset.columns -> column
    header: tuple[str, ...] = ()  # columns of its files
    line: str = ""  # for lists without a header: the pattern of lines
    kind: Literal["table", "json", "lists"] = "table"
    delimiter: Literal["blank", "comma"] | None = None
    segments: Mapping[str, Any] = field(default_factory=dict)  # keys of dataset.segments
    change: Change | None = None
    classes: tuple[str, ...] = ()  # globs for the file of class names
    extra: tuple[str, ...] = ()  # other used columns: times that are not of the part, and inputs of `change`
    captions: tuple[str, ...] = ()  # only used if dataset.columns.caption is one of these
    splits: str = ""  # a folder with lists of the videos of each split, one per line
    merge_repeats: bool = False  # merge rows with the same label for the same part


def list_part_variants(video: str) -> tuple[Variant, ...]:
    """Variants of ActivityNet's structure, an object by video with lists of parts, with the names of each dataset."""
    parts = (
        ("annotations.segment", "annotations.label", "annotations.label", spell_labels),  # also THUMOS14 and HACS
        ("annotations.segment", "annotations.sentence", None, blank_placeholders),  # YouCook2
        ("timestamps", "sentences", None, blank_placeholders),  # ActivityNet Captions
    )
    variants = [
        Variant(
            {"path": video, "segment": segment, "caption": caption, "split": "subset"}
            | ({"category": category} if category else {}),
            header=(KEY, segment, caption),
            kind="json",
            change=change,
        )
        for segment, caption, category, change in parts
    ]
    spoken = {"path": video, "start": "start", "end": "end", "caption": "text"}  # HowTo100M
    return (*variants, Variant(spoken, header=(KEY, "start", "end", "text"), kind="json", change=blank_placeholders))


def list_piece_variants() -> tuple[Variant, ...]:
    """The JSON of Kinetics, whose videos have one part each: cut clips, then whole videos."""
    columns = {"caption": "annotations.label", "category": "annotations.label", "split": "subset"}
    columns |= {"path": "{key}", "segment": "annotations.segment"}
    header = (KEY, "annotations.segment", "annotations.label")
    return tuple(Variant(columns, header, kind="json", change=change) for change in (name_piece, spell_labels))


def list_tracked_variants(name: str) -> tuple[Variant, ...]:
    """Objects tracked in videos that are folders of images; the key `name` identifies the dataset."""
    return tuple(
        Variant(
            {"path": path, "caption": TRACKED_OBJECTS, "category": TRACKED_OBJECTS},
            (name, TRACKED_FOLDER),
            kind="json",
            change=spell_labels,
        )
        for path in (f"JPEGImages/{{{TRACKED_FOLDER}}}", f"{{{TRACKED_FOLDER}}}")  # masks may have the same names
    )
