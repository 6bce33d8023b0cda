"""Rows and videos -> the chosen clips with their splits, and why the other rows were left."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.corpus.categories import match_categories, slug_of
from pipeline.corpus.cleaning import clean_text, writable_text
from pipeline.corpus.objects import bare_objects, find_objects
from pipeline.corpus.pairs import Cell
from pipeline.corpus.rows import Labelled, Row
from pipeline.corpus.split import split_clips
from pipeline.corpus.videos import Video, digest_videos, usable_id
from pipeline.errors import UserError
from pipeline.params import FilterParams
from pipeline.records import Clip, Drop


@dataclass(frozen=True, slots=True)
class Choice:
    """Every row is in `clips` or in `drops`, each sorted by id; `pairs` are the cells held out."""

    clips: list[Clip]
    drops: list[Drop]
    pairs: list[Cell]


def choose_clips(rows: Sequence[Row], videos: Path, options: FilterParams, workers: int) -> Choice:
    """Choose by category and by having a video, and split. Raises UserError where nothing to train on is left."""
    _refuse_duplicates(rows)
    labelled, drops = _choose_rows(rows, options.categories)
    found = digest_videos(videos, [(clip.id, clip.video) for clip in labelled], workers)
    drops += [video for video in found if isinstance(video, Drop)]
    kept = [(clip, video) for clip, video in zip(labelled, found, strict=True) if isinstance(video, Video)]
    splits, pairs = split_clips([clip for clip, _ in kept], options) if kept else ([], [])
    if "train" not in splits:
        raise UserError(_explain_nothing(len(rows), len(kept), drops, videos))
    clips = [
        Clip(
            id=clip.id,
            caption=clip.caption,
            original=clip.original,
            category=clip.category,
            template=clip.template,
            objects=clip.objects,
            split=split,
            video=video.file,
            digest=video.digest,
            mirrored=False,
        )
        for (clip, video), split in zip(kept, splits, strict=True)
    ]
    clips.sort(key=lambda clip: clip.id)
    drops.sort(key=lambda drop: (drop.id, drop.reason, drop.detail))
    return Choice(clips, drops, pairs)


def _refuse_duplicates(rows: Sequence[Row]) -> None:
    places: dict[str, tuple[str, int]] = {}
    for row in rows:
        first = places.setdefault(row.id, row.place)
        if first != row.place and usable_id(row.id):
            where = " and ".join(f"{file} (row {number})" for file, number in (first, row.place))
            raise UserError(f"dataset.labels: the id {row.id!r} stands twice, in {where}; remove one of them")


def _choose_rows(rows: Sequence[Row], wanted: Sequence[str]) -> tuple[list[Labelled], list[Drop]]:
    slugs = [slug_of(row.template) for row in rows]
    chosen = match_categories(wanted, Counter(slug for slug in slugs if slug))
    labelled: list[Labelled] = []
    drops: list[Drop] = []
    for row, slug in zip(rows, slugs, strict=True):
        judged = _judge_row(row, slug, slug in chosen)
        drops.append(judged) if isinstance(judged, Drop) else labelled.append(judged)
    return labelled, drops


def _judge_row(row: Row, slug: str, chosen: bool) -> Labelled | Drop:
    if not usable_id(row.id):
        # The id may hold anything; in the table it is shown as Python would, and no longer than a line.
        return Drop(ascii(row.id)[:80], "unusable_id", f"row {row.place[1]} of {row.place[0]}")
    if slug and not chosen:
        return Drop(row.id, "other_category", slug)
    caption = clean_text(row.label)
    if not slug or not any(letter.isalnum() for letter in caption):
        return Drop(row.id, "unusable_label", f"label {ascii(row.label)[:80]}, template {ascii(row.template)[:80]}")
    objects = bare_objects(row.objects) or find_objects(caption, row.template, row.placeholders)
    return Labelled(
        row.id, caption, slug, clean_text(row.template), objects, row.part, row.video, writable_text(row.label)
    )


def _explain_nothing(read: int, kept: int, drops: Sequence[Drop], videos: Path) -> str:
    if kept:
        return f"filter: none of the {kept} clips fell into the train split; raise filter.shares.train or add clips"
    reasons = Counter(drop.reason for drop in drops)
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "the labels are empty"
    return f"filter: none of {read} rows is left: {counts}; see filter.categories and the videos in {videos}"
