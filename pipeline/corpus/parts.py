"""The names people give to the parts of a dataset -> train, validation, test."""

from collections.abc import Collection

from pipeline.corpus.rows import Part

NAMES: dict[Part, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing", "eval"),
}
PARTS: dict[str, Part] = {name: part for part, names in NAMES.items() for name in names}
KNOWN = ", ".join(PARTS)


def part_of(name: str) -> Part | None:
    """The part that a name stands for in any case; None where it stands for none."""
    return PARTS.get(name.strip().lower())


def parts_of_folders(folders: Collection[str]) -> dict[str, Part]:
    """Folder -> part where every folder is named as one; else they are classes or anything, and the answer is empty."""
    parts = {folder: part for folder in folders if (part := part_of(folder))}
    return parts if len(parts) == len(folders) else {}
