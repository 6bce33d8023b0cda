"""Rows and videos -> the chosen clips with their splits, and why the other rows were left."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.corpus.categories import match_categories, slug_of
from pipeline.corpus.cleaning import clean_text, writable_text
from pipeline.corpus.likeness import NO_VECTORS, Vectors
from pipeline.corpus.limits import choose_by_objects, limit_clips
from pipeline.corpus.mirror import mirror_clips
from pipeline.corpus.objects import bare_objects, find_objects
from pipeline.corpus.pairs import Cell
from pipeline.corpus.rows import Labelled, Row
from pipeline.corpus.split import Held, later_splits, split_clips
from pipeline.corpus.videos import digest_videos, find_videos, usable_id
from pipeline.errors import UserError
from pipeline.params import FilterParams
from pipeline.records import Clip, Drop, Split


@dataclass(frozen=True, slots=True)
class Choice:
    """Every row is in `clips` or in `drops`, each sorted by id; `clips` holds mirrored twins as well."""

    clips: list[Clip]
    drops: list[Drop]
    words: list[str]  # held out
    pairs: list[Cell]  # held out
    unmirrored: Counter[str]  # clips without a twin, by reason; empty where none was wanted


def choose_clips(
    rows: Sequence[Row], videos: Path, options: FilterParams, workers: int, vectors: Vectors = NO_VECTORS
) -> Choice:
    """Choose by category, objects, having a video and number, split, and add twins.

    Each rule sees what the rules before it have left. Raises UserError where nothing to train on is left.
    """
    _refuse_duplicates(rows)
    labelled, drops = _choose_rows(rows, options.categories)
    labelled, more = choose_by_objects(labelled, options)
    drops += more
    found = find_videos(videos, [(clip.id, clip.video) for clip in labelled], workers)
    drops += [file for file in found if isinstance(file, Drop)]
    files = {clip.id: file for clip, file in zip(labelled, found, strict=True) if isinstance(file, str)}
    # However a path is written, with its ending or without: it is one video.
    labelled = [clip._replace(video=clip.video and files[clip.id]) for clip in labelled if clip.id in files]
    labelled, more = limit_clips(labelled, options)
    drops += more
    splits, held = split_clips(labelled, options, vectors) if labelled else ([], Held([], []))
    clips, more = _join(labelled, splits, files, videos, workers)
    drops += more
    if not any(clip.split == "train" for clip in clips):
        raise UserError(_explain_nothing(len(rows), len(clips), drops, videos))
    twins, unmirrored = mirror_clips(clips, held) if options.mirror == "swap" else ([], Counter())
    clips = sorted([*clips, *twins], key=lambda clip: clip.id)
    drops.sort(key=lambda drop: (drop.id, drop.reason, drop.detail))
    return Choice(clips, drops, held.words, held.pairs, unmirrored)


def _join(
    labelled: Sequence[Labelled], splits: Sequence[Split], files: Mapping[str, str], videos: Path, workers: int
) -> tuple[list[Clip], list[Drop]]:
    """The clips with their splits and the digests of their videos, less those whose video is in another split."""
    later = later_splits(labelled, [files[clip.id] for clip in labelled], splits)
    drops = [Drop(name, "other_split", f"{files[name]} is in {split}") for name, split in later.items()]
    kept = [(clip, split) for clip, split in zip(labelled, splits, strict=True) if clip.id not in later]
    digests = digest_videos(videos, [files[clip.id] for clip, _ in kept], workers)
    clips = [
        Clip(
            id=clip.id,
            caption=clip.caption,
            original=clip.original,
            category=clip.category,
            template=clip.template,
            objects=clip.objects,
            split=split,
            video=files[clip.id],
            digest=digest,
            mirrored=False,
        )
        for (clip, split), digest in zip(kept, digests, strict=True)
    ]
    return clips, drops


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
