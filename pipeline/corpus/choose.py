"""Rows and videos -> the chosen clips with splits and mirrored twins, and drops with reasons."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from pipeline.compute.sandbox import SandboxMode
from pipeline.corpus import Candidate, LabelRow, SourceLocation, describe_location, hash_to_unit
from pipeline.corpus.captions import (
    clean_objects,
    escape_unwritable,
    find_objects,
    match_categories,
    match_objects,
    normalise_text,
)
from pipeline.corpus.groups import (
    ComputeSignatures,
    compute_no_signatures,
    join_groups,
    resolve_duplicates,
)
from pipeline.corpus.sandboxed import VideoLookup
from pipeline.corpus.split import NO_VECTORS, HeldOut, Pair, Vectors, find_later_splits, split_clips
from pipeline.corpus.video_files import is_usable_id
from pipeline.corpus.video_names import NoVideo
from pipeline.directions import DirectionRules, find_twin_fault, list_texts, make_twin, name_direction
from pipeline.directions.english import find_counter_spelling
from pipeline.errors import UserError
from pipeline.letters import build_word_pattern
from pipeline.params import FilterParams
from pipeline.records import HELD_OUT, Clip, Drop, Reason, Split, slugify

Chosen = tuple[list[Candidate], list[Drop]]  # kept and dropped
FindFault = Callable[[Candidate], str | None]  # the fault of a clip, or None

WORD = rf"{build_word_pattern()}(?:['’]{build_word_pattern()})*"  # noqa: RUF001
FORMS: dict[Literal["toy", "simple"], re.Pattern[str]] = {
    "toy": re.compile(WORD),
    "simple": re.compile(rf"{WORD}(?:-{WORD})*"),
}

ENGLISH = DirectionRules()  # only by the rules for English


@dataclass(frozen=True, slots=True)
class Choice:
    """The result: every row is in `clips` or `drops`, both sorted by id; `clips` includes mirrored twins."""

    clips: list[Clip]
    drops: list[Drop]
    words: list[str]  # held out
    pairs: list[Pair]  # held out
    directions: DirectionRules  # with the spelling of the captions
    unmirrored: Counter[str]  # clips without a twin, by reason; empty if none was wanted


class NothingToTrainOn(UserError):
    """No clip of the train split is left; holds the number of clips in other splits, and the drops by id."""

    def __init__(self, message: str, kept: int, drops: list[Drop]) -> None:
        super().__init__(message)
        self.kept = kept
        self.drops = drops


def choose_clips(
    rows: Sequence[LabelRow],
    videos: Path,
    options: FilterParams,
    workers: int,
    vectors: Vectors = NO_VECTORS,
    path_pattern: str | None = None,
    directions: DirectionRules = ENGLISH,
    pictures: str | None = None,
    sign: ComputeSignatures = compute_no_signatures,
    sandbox: SandboxMode = "off",
) -> Choice:
    """Select clips by category, objects, existence of the video and number; split them; add mirrored twins.

    Rules are applied in this order, each to what the previous ones kept. `path_pattern` finds groups in paths and
    `directions` the direction of motion, for rows that state none; `pictures` is the pattern of frames in mixed
    folders; `sign` computes signatures; `sandbox` applies to reading archives and tables. Raises NothingToTrainOn if
    no training clip is left.
    """
    _refuse_duplicates(rows)
    candidates, drops = _choose_rows(rows, options.categories)
    candidates, more = choose_by_objects(candidates, options)
    lookup = VideoLookup(videos, workers, pictures, sandbox)
    found = lookup.find([(clip.id, clip.video) for clip in candidates])
    candidates, files, missing = _keep_found(candidates, found)
    drops += more + missing
    candidates = join_groups(candidates, path_pattern, rows)
    candidates, more = resolve_duplicates(candidates, files, lookup.digest, sign, options.duplicates)
    drops += more
    candidates, more = limit_clips(candidates, options)
    drops += more
    splits, held = split_clips(candidates, options, vectors) if candidates else ([], HeldOut([], []))
    clips, more = _make_clips(candidates, splits, files, lookup.digest)
    clips = _fill_in_directions(clips, directions)
    drops += more
    drops.sort(key=lambda drop: (drop.id, drop.reason, drop.detail))
    if not any(clip.split == "train" for clip in clips):
        raise NothingToTrainOn(_explain_nothing(rows, len(clips), drops, lookup), len(clips), drops)
    return _add_twins(clips, drops, held, directions, options)


def _add_twins(
    clips: list[Clip], drops: list[Drop], held: HeldOut, directions: DirectionRules, options: FilterParams
) -> Choice:
    directions = replace(directions, counter=find_counter_spelling(clip.caption for clip in clips))
    twins, unmirrored = _mirror_clips(clips, held, directions) if options.mirror == "swap" else ([], Counter())
    clips = sorted([*clips, *twins], key=lambda clip: clip.id)
    return Choice(clips, drops, held.words, held.pairs, directions, unmirrored)


def choose_by_objects(clips: Sequence[Candidate], options: FilterParams) -> Chosen:
    """The clips whose objects have the form `objects`, are in `include_objects` and not in `exclude_objects`.

    Of several objects, each must have the form, at least one be included and none excluded; a clip without objects
    passes the form and exclusion, but not an inclusion. Raises UserError for a listed name that no clip shows.
    """
    counts = Counter(word for clip in clips for word in set(clip.objects))
    included = match_objects(options.include_objects, counts, "filter.include_objects")
    excluded = match_objects(options.exclude_objects, counts, "filter.exclude_objects")
    rules: list[tuple[Reason, FindFault]] = []
    if options.objects != "casual":
        form = FORMS[options.objects]
        rules.append(("object_form", lambda clip: next((w for w in clip.objects if not form.fullmatch(w)), None)))
    if included:
        rules.append(
            ("other_object", lambda clip: _list_names(clip.objects) if included.isdisjoint(clip.objects) else None)
        )
    if excluded:
        rules.append(("excluded_object", lambda clip: next((w for w in clip.objects if w in excluded), None)))
    return _apply_rules(clips, rules)


def limit_clips(clips: Sequence[Candidate], options: FilterParams) -> Chosen:
    """The clips whose objects all have at least `min_object_clips`, up to the limits per object and in total."""
    kept, drops = _drop_rare_objects(list(clips), options.min_object_clips)
    for limit in (_limit_objects, _limit_all):
        kept, beyond = limit(kept, options)
        drops += beyond
    return kept, drops


def _fill_in_directions(clips: Sequence[Clip], directions: DirectionRules) -> list[Clip]:
    """The clips with the directions of their rows, captions or categories."""
    find = cache(directions.find_motion)  # clips share templates and captions
    return [
        clip if clip.moves else replace(clip, moves=name_direction(find(clip.caption) or find(clip.template)))
        for clip in clips
    ]


def _mirror_clips(clips: Sequence[Clip], held: HeldOut, directions: DirectionRules) -> tuple[list[Clip], Counter[str]]:
    """The twins, and the number of clips without one, by reason: a fault of `find_mirror_fault`, or `held_out`.

    Raises UserError if the id of a twin equals that of a clip.
    """
    twins: list[Clip] = []
    without: Counter[str] = Counter()
    for clip in clips:
        fault = find_twin_fault(clip, directions)
        if fault:
            without[fault] += 1
            continue
        twin = make_twin(clip, directions)
        # Only other words can require another split.
        if list_texts(twin) != list_texts(clip) and held.find_split(twin.caption, twin.objects, twin.category) != (
            clip.split if clip.split in HELD_OUT else None
        ):
            without["held_out"] += 1
            continue
        twins.append(twin)
    taken = {twin.id for twin in twins} & {clip.id for clip in clips}
    if taken:
        raise UserError(f"filter.mirror: the id {min(taken)!r} is that of a mirrored twin, too; rename the clip")
    return twins, without


def _refuse_duplicates(rows: Sequence[LabelRow]) -> None:
    locations: dict[str, SourceLocation] = {}
    for row in rows:
        if row.id in locations and is_usable_id(row.id):
            where = " and ".join(map(describe_location, (locations[row.id], row.location)))
            raise UserError(f"dataset.labels: the id {row.id!r} occurs twice, in {where}; remove one of them")
        locations[row.id] = row.location


def _choose_rows(rows: Sequence[LabelRow], wanted: Sequence[str]) -> tuple[list[Candidate], list[Drop]]:
    slugs = [slugify(row.template) for row in rows]
    counts = Counter(slug for slug in slugs if slug)
    if not rows:
        raise NothingToTrainOn("filter: the labels hold no rows; see dataset.labels", 0, [])
    if not counts:
        _refuse_rows(rows, wanted)
    chosen = match_categories(wanted, counts)
    candidates: list[Candidate] = []
    drops: list[Drop] = []
    for row, slug in zip(rows, slugs, strict=True):
        read = _read_row(row, slug, slug in chosen)
        drops.append(read) if isinstance(read, Drop) else candidates.append(read)
    return candidates, drops


def _refuse_rows(rows: Sequence[LabelRow], wanted: Sequence[str]) -> None:
    """If no row has a category, raise the error for an unknown category, with the drops."""
    drops = [drop for row in rows if isinstance(drop := _read_row(row, "", False), Drop)]
    try:
        match_categories(wanted, {})
    except UserError as error:
        raise NothingToTrainOn(
            f"{error}{_name_first_drop(rows, drops)}", 0, sorted(drops, key=lambda drop: drop.id)
        ) from None


def _describe_label(row: LabelRow) -> str:
    """Why a row has no usable label, and where it is."""
    absent = [name for name, text in (("caption", row.label), ("category", row.template)) if not text.strip()]
    if absent:
        return escape_unwritable(f"no {' and no '.join(absent)}: {describe_location(row.location)}")
    return f"label {ascii(row.label)[:80]}, template {ascii(row.template)[:80]}"


def _read_row(row: LabelRow, slug: str, chosen: bool) -> Candidate | Drop:
    if not is_usable_id(row.id):
        return Drop(_show_id(row), "unusable_id", describe_location(row.location))
    if slug and not chosen:
        return Drop(row.id, "other_category", slug)
    if row.segment_fault:
        fault = f"{row.segment_fault}: {describe_location(row.location)}"
        return Drop(row.id, "unusable_segment", escape_unwritable(fault))
    caption = normalise_text(row.label)
    if not slug or not any(letter.isalnum() for letter in caption):
        return Drop(row.id, "unusable_label", _describe_label(row))
    objects = clean_objects(row.objects) or find_objects(caption, row.template, row.placeholders)
    return Candidate(
        row.id,
        caption,
        slug,
        normalise_text(row.template),
        objects,
        row.official_split,
        row.video,
        escape_unwritable(row.label),
        row.segment,
        normalise_text(row.group),
        row.moves,
        row.recording,
    )


def _keep_found(
    candidates: Sequence[Candidate], found: Sequence[str | Drop]
) -> tuple[list[Candidate], dict[str, str], list[Drop]]:
    """The candidates whose video was found, the paths of videos by id, and the drops of the others."""
    files = {clip.id: file for clip, file in zip(candidates, found, strict=True) if isinstance(file, str)}
    # A path may be written with or without its extension, and means the same video.
    kept = [clip._replace(video=clip.video and files[clip.id]) for clip in candidates if clip.id in files]
    return kept, files, [file for file in found if isinstance(file, Drop)]


def _make_clips(
    candidates: Sequence[Candidate],
    splits: Sequence[Split],
    files: Mapping[str, str],
    digest: Callable[[list[str]], list[str | NoVideo]],
) -> tuple[list[Clip], list[Drop]]:
    """The clips with splits and digests of videos; drops those whose video is in another split or unreadable."""
    later = find_later_splits([clip._replace(video=files[clip.id]) for clip in candidates], splits)
    groups = {clip.id: clip.group for clip in candidates}
    drops = [Drop(name, "other_split", f"{groups[name] or files[name]} is in {split}") for name, split in later.items()]
    kept = [(clip, split) for clip, split in zip(candidates, splits, strict=True) if clip.id not in later]
    digests = digest([files[clip.id] for clip, _ in kept])
    unread = {clip.id: found for (clip, _), found in zip(kept, digests, strict=True) if isinstance(found, NoVideo)}
    drops += [Drop(name, fault.reason, fault.detail) for name, fault in unread.items()]
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
            digest=found,
            mirrored=False,
            start=clip.segment.start,
            end=clip.segment.end,
            group=clip.group,
            moves=clip.moves,
        )
        for (clip, split), found in zip(kept, digests, strict=True)
        if isinstance(found, str)
    ]
    return clips, drops


def _explain_nothing(rows: Sequence[LabelRow], kept: int, drops: Sequence[Drop], lookup: VideoLookup) -> str:
    reasons = Counter(drop.reason for drop in drops)
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    if kept:
        whole = "; a group, or a video, is in one split as a whole" if "other_split" in reasons else ""
        detail = f"filter: none of the {kept} clips fell into the train split; raise filter.shares.train or add clips"
        detail += whole
        return f"{detail}. Left out before: {counts}{_name_first_drop(rows, drops)}" if drops else detail
    detail = (
        f"filter: none of {len(rows)} rows is left: {counts}; see filter.categories and the videos in {lookup.videos}"
    )
    missing = {drop.id for drop in drops if drop.reason in ("missing_video", "unusable_path")}
    elsewhere = lookup.suggest([row.video or row.id for row in rows if row.id in missing])
    return detail + _name_first_drop(rows, drops) + elsewhere


def _name_first_drop(rows: Sequence[LabelRow], drops: Sequence[Drop]) -> str:
    """Why the first dropped row was dropped, as the end of a message."""
    reasons = {drop.id: drop for drop in drops}
    for row in rows:
        drop = reasons.get(row.id) or reasons.get(_show_id(row))
        if drop:
            return f". The first, {describe_location(row.location)}, is dropped as {drop.reason}: {drop.detail}"
    return ""


def _show_id(row: LabelRow) -> str:
    """An unusable id, which may contain anything, escaped as in Python and truncated."""
    return ascii(row.id)[:80]


def _drop_rare_objects(clips: list[Candidate], least: int) -> Chosen:
    """Drop clips with rare objects, repeatedly, since that makes other objects of these clips rarer."""
    drops: list[Drop] = []
    while True:
        counts = Counter(word for clip in clips for word in set(clip.objects))
        rare = {word: f"{word}: {count} of {least} clips" for word, count in counts.items() if count < least}
        if not rare:
            return clips, drops
        faults = {clip.id: rare[word] for clip in clips for word in clip.objects if word in rare}
        clips, gone = _drop_faulty(clips, "few_clips_of_object", faults)
        drops += gone


def _limit_objects(clips: list[Candidate], options: FilterParams) -> Chosen:
    most = options.max_object_clips
    if most is None:
        return clips, []
    taken: Counter[str] = Counter()
    faults: dict[str, str] = {}
    for clip in sorted(clips, key=_limit_order):
        full = next((word for word in clip.objects if taken[word] >= most), None)
        if full is None:
            for word in set(clip.objects):
                taken[word] += 1
        else:
            faults[clip.id] = f"{full}: more than {most} clips"
    return _drop_faulty(clips, "beyond_object_limit", faults)


def _limit_all(clips: list[Candidate], options: FilterParams) -> Chosen:
    if options.max_clips is None:
        return clips, []
    beyond = sorted(clips, key=_limit_order)[options.max_clips :]
    return _drop_faulty(
        clips, "beyond_clip_limit", {clip.id: f"more than {options.max_clips} clips" for clip in beyond}
    )


def _limit_order(clip: Candidate) -> tuple[float, str]:
    return hash_to_unit("limit", clip.id), clip.id


def _apply_rules(clips: Iterable[Candidate], rules: Sequence[tuple[Reason, FindFault]]) -> Chosen:
    """Keep clips without a fault; others are dropped for the first reason that applies."""
    kept: list[Candidate] = []
    drops: list[Drop] = []
    for clip in clips:
        faults = ((reason, fault(clip)) for reason, fault in rules)
        found = next(((reason, detail) for reason, detail in faults if detail is not None), None)
        drops.append(Drop(clip.id, *found)) if found else kept.append(clip)
    return kept, drops


def _drop_faulty(clips: Sequence[Candidate], reason: Reason, faults: Mapping[str, str]) -> Chosen:
    """Drop the clips whose ids have faults."""
    return _apply_rules(clips, [(reason, lambda clip: faults.get(clip.id))])


def _list_names(objects: Sequence[str]) -> str:
    return ", ".join(objects) or "no object"
