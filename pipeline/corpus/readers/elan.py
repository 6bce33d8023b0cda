"""Files of ELAN, `.eaf` -> rows.

`dataset.columns.category` and `caption` name tiers, or linguistic types of tiers; a single tier needs no name. Times
are in milliseconds. Inner borders of a divided annotation have no times: its parts are spaced evenly. An annotation
that refers to another one has its times. With both keys, a caption has the class that contains its middle.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from pipeline.corpus import LabelRow
from pipeline.corpus.readers.exports import (
    LabelledPart,
    MediaFiles,
    name_caption,
    name_category,
    read_address,
    read_exports,
    read_xml,
    read_xml_text,
)
from pipeline.corpus.video_names import has_video_ending
from pipeline.errors import UserError
from pipeline.params import DatasetParams

TOOL = "ELAN"
ENDINGS = (".eaf",)
REMEDY = "save it again with ELAN"
ATTRIBUTES = {
    *("TIME_UNITS", "MEDIA_FILE", "MEDIA_URL", "RELATIVE_MEDIA_URL", "MIME_TYPE", "TIME_ORIGIN"),
    *("TIME_SLOT_ID", "TIME_VALUE", "TIER_ID", "LINGUISTIC_TYPE_REF"),
    *("ANNOTATION_ID", "ANNOTATION_REF", "TIME_SLOT_REF1", "TIME_SLOT_REF2"),
}
MILLISECONDS = "milliseconds"

Times = tuple[float | None, float | None]  # start and end in milliseconds; None: unknown


class Annotation(NamedTuple):
    """A text with its time."""

    start: float | None  # milliseconds; None: unknown
    end: float | None
    text: str


class Tier(NamedTuple):
    """A tier and its annotations in order."""

    name: str
    kind: str  # linguistic type
    annotations: list[Annotation]


class Media(NamedTuple):
    """A video of the file, and the time in it at which annotation times start, in milliseconds."""

    video: str
    origin: float


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """A row for each annotation of the selected tiers. Raises UserError if a tier is missing, or a file is no EAF."""
    found: set[str] = set()
    listed: dict[str, None] = {}
    media = MediaFiles(Path(dataset.videos))

    def read(path: Path) -> Iterator[LabelledPart]:
        root = _read_root(path)
        tiers = _read_tiers(root, path)
        listed.update(dict.fromkeys(name for tier in tiers for name in (tier.name, tier.kind) if name))
        chosen = _choose_media(root, path, media)
        yield from list(_list_parts(path, chosen, tiers, dataset, found)) or [LabelledPart(chosen.video, "", None)]

    rows = read_exports(labels, dataset, media, ENDINGS, TOOL, read)
    for key, name in (("category", name_category(dataset)), ("caption", name_caption(dataset, found))):
        if name is not None and name not in found:
            known = ", ".join(listed)[:300] or "none"
            raise UserError(f"{labels}: has no tier or type {name!r} (dataset.columns.{key}); there are: {known}")
    return rows


def detect(path: Path, start: bytes) -> str:
    """Why this is a file of ELAN, by its start; empty if it is not."""
    return f"{path.name} is an annotation document" if b"<ANNOTATION_DOCUMENT" in start else ""


def _list_parts(
    path: Path, media: Media, tiers: Sequence[Tier], dataset: DatasetParams, found: set[str]
) -> Iterator[LabelledPart]:
    names = {name for tier in tiers for name in (tier.name, tier.kind)}
    category, caption = name_category(dataset), name_caption(dataset, names)
    found |= {name for name in (category, caption) if name in names}
    if category is None and caption is None:
        full = [tier for tier in tiers if any(found.text for found in tier.annotations)]
        if len(full) > 1:
            counts = ", ".join(f"{tier.name} ({len(tier.annotations)})" for tier in full)[:300]
            detail = f"has several tiers with annotations: {counts}"
            raise UserError(f"{path}: {detail}; name one in dataset.columns.category, caption or both")
        yield from (_make_part(media, said, said.text, None) for tier in full for said in tier.annotations)
        return
    classes = [said for tier in tiers if category in (tier.name, tier.kind) for said in tier.annotations]
    texts = [said for tier in tiers if caption in (tier.name, tier.kind) for said in tier.annotations]
    if caption is None:
        yield from (_make_part(media, said, said.text, None) for said in classes)
    else:
        for said in texts:
            yield _make_part(media, said, None if category is None else _find_class(said, classes), said.text)


def _make_part(media: Media, said: Annotation, category: str | None, caption: str | None) -> LabelledPart:
    if said.start is None or said.end is None:
        return LabelledPart(media.video, category, caption, fault="its start or its end has no time")
    start, end = ((time + media.origin) / 1000 for time in (said.start, said.end))
    return LabelledPart(media.video, category, caption, start, end)


def _find_class(said: Annotation, classes: Sequence[Annotation]) -> str:
    """The text of the class that contains the middle of an annotation; empty if none does."""
    if said.start is None or said.end is None:
        return ""
    middle = (said.start + said.end) / 2
    held = (one.text for one in classes if (one.start or 0.0) <= middle < (one.end or 0.0) and one.text)
    return next(held, "")


def _read_root(path: Path) -> Element:
    with path.open("rb") as file:
        root = read_xml(file, path, ATTRIBUTES, REMEDY)
    if root.tag != "ANNOTATION_DOCUMENT":
        raise UserError(f"{path}: its root is <{root.tag}>, not <ANNOTATION_DOCUMENT>; {REMEDY}")
    header = root.find("HEADER")
    unit = header.get("TIME_UNITS", MILLISECONDS) if header is not None else MILLISECONDS
    if unit != MILLISECONDS:
        raise UserError(f"{path}: its times are in {unit[:40]!r}, which are read as {MILLISECONDS} only; {REMEDY}")
    return root


def _choose_media(root: Element, path: Path, media: MediaFiles) -> Media:
    """The first video that exists, else the first one in the file, else one named like the file."""
    header = root.find("HEADER")
    found = []
    for element in header.iter("MEDIA_DESCRIPTOR") if header is not None else []:
        names = [name for key in ("RELATIVE_MEDIA_URL", "MEDIA_URL") if (name := element.get(key))]
        origin = element.get("TIME_ORIGIN", "0")
        if not origin.lstrip("-").isdecimal():
            raise UserError(f"{path}: has the TIME_ORIGIN {origin[:40]!r}, which is not a number; {REMEDY}")
        video = element.get("MIME_TYPE", "").startswith("video/")
        found += [Media(name, float(origin)) for name in names if video or has_video_ending(read_address(name))]
    if header is not None and has_video_ending(read_address(header.get("MEDIA_FILE", ""))):
        found.append(Media(header.get("MEDIA_FILE", ""), 0.0))
    there = (one for one in found if media.holds(one.video))
    return next(there, found[-1] if len(found) == 1 else found[0] if found else Media(path.stem, 0.0))


def _read_tiers(root: Element, path: Path) -> list[Tier]:
    slots: dict[str, float | None] = {}
    for slot in root.iterfind("TIME_ORDER/TIME_SLOT"):
        value = slot.get("TIME_VALUE")
        if value is not None and not value.isdecimal():
            raise UserError(f"{path}: has the TIME_VALUE {value[:40]!r}, which is not a number; {REMEDY}")
        slots[slot.get("TIME_SLOT_ID", "")] = None if value is None else float(value)
    times: dict[str, Times] = {}
    for tier in root.iterfind("TIER"):
        times |= _place_annotations(tier, slots)
    above = {
        said.get("ANNOTATION_ID", ""): said.get("ANNOTATION_REF", "")
        for said in root.iterfind("TIER/ANNOTATION/REF_ANNOTATION")
    }
    return [_read_tier(tier, times, above) for tier in root.iterfind("TIER")]


def _read_tier(tier: Element, times: dict[str, Times], above: dict[str, str]) -> Tier:
    annotations = []
    for said in [*tier.iterfind("ANNOTATION/*")]:
        name = said.get("ANNOTATION_ID", "")
        for _ in above:  # bounded by the number of references, so that cycles end
            if name in times or name not in above:
                break
            name = above[name]
        start, end = times.get(name, (None, None))
        annotations.append(Annotation(start, end, read_xml_text(said, "ANNOTATION_VALUE")))
    return Tier(tier.get("TIER_ID", ""), tier.get("LINGUISTIC_TYPE_REF", ""), annotations)


def _place_annotations(tier: Element, slots: dict[str, float | None]) -> dict[str, Times]:
    """The times of a tier's annotations by id; those between two known times are spaced evenly."""
    said = list(tier.iterfind("ANNOTATION/ALIGNABLE_ANNOTATION"))
    order = {name: number for number, name in enumerate(slots)}
    said.sort(key=lambda one: order.get(one.get("TIME_SLOT_REF1", ""), -1))
    starts = [slots.get(one.get("TIME_SLOT_REF1", "")) for one in said]
    ends = [slots.get(one.get("TIME_SLOT_REF2", "")) for one in said]
    for number, (before, after) in enumerate(pairwise(zip(starts, ends, strict=True)), 1):
        # The end of one and the start of the next are the same border, in one or two slots.
        if before[1] is None and after[0] is not None:
            ends[number - 1] = after[0]
        elif before[1] is not None and after[0] is None:
            starts[number] = before[1]
    first = 0
    for last, end in enumerate(ends):
        if end is None:
            continue
        count, start = last - first + 1, starts[first]
        if count > 1 and start is not None:
            for number in range(first, last + 1):
                starts[number] = start + (end - start) * (number - first) / count
                ends[number] = start + (end - start) * (number - first + 1) / count
        first = last + 1
    names = [one.get("ANNOTATION_ID", "") for one in said]
    return dict(zip(names, zip(starts, ends, strict=True), strict=True))
