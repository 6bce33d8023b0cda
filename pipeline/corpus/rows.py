"""The rows that every reader returns, and what becomes of the usable ones."""

from typing import Any, Literal, NamedTuple

Part = Literal["all", "train", "validation", "test"]  # which official part a row is in; `all` where there are none


class Row(NamedTuple):
    """One row of a label file, as it stands there; what is not text in the file is empty here."""

    id: str
    label: str
    template: str
    placeholders: tuple[str, ...]  # what should fill the slots of the template; often it does not
    objects: tuple[str, ...]  # named as such, to be taken as they are; empty where the format names none
    part: Part
    place: tuple[str, int]  # file name and row number from 0, for messages
    video: str  # path within the videos folder; empty where the id names the file


class Labelled(NamedTuple):
    """One usable row of a chosen category, before its video was looked at."""

    id: str
    caption: str
    category: str  # slug
    template: str
    objects: tuple[str, ...]
    part: Part
    video: str
    original: str  # the label before cleaning


def text_of(value: Any) -> str:
    """A string as it is and a whole number as its digits; anything else is unusable, as an empty text is."""
    if isinstance(value, str):
        return value
    # Tools that know no missing whole number make fractions of a column that has some.
    whole = value.is_integer() if isinstance(value, float) else isinstance(value, int) and not isinstance(value, bool)
    return str(int(value)) if whole else ""
