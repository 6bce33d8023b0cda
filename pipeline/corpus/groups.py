"""Groups of clips that must stay in one split: of one video, recording, person or place, and near-duplicates.

Groups are named in labels, or found in paths by a pattern. Near-duplicates are found by their signatures; their groups
are joined, or all but the first of them are dropped.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from pipeline.corpus import Candidate, LabelRow, OfficialSplit, Segment, describe_location
from pipeline.corpus.video_names import NoVideo
from pipeline.duplicates import compare_signatures, decode_signatures, find_sets
from pipeline.errors import UserError
from pipeline.records import Clip, Drop, Signature

Shown = tuple[str, Segment]  # the content of a clip: the digest of its video, and the part
# Clips sorted by id -> their signatures; clips that cannot be decoded have none.
ComputeSignatures = Callable[[list[Clip]], Sequence[Signature]]
Digest = Callable[[list[str]], list[str | NoVideo]]  # of files, or why one cannot be read
Duplicates = Literal["keep", "group", "drop"]


def name_group(clip: Candidate) -> str:
    """The name of the clip's group: its own, else the path of its video, else its id."""
    return clip.group or clip.video or clip.id


class Groups:
    """The clips of each group."""

    def __init__(self, clips: Iterable[Candidate]) -> None:
        self._clips: dict[str, list[Candidate]] = defaultdict(list)
        for clip in clips:
            self._clips[name_group(clip)].append(clip)

    def expand(self, clips: Iterable[Candidate]) -> list[Candidate]:
        """These clips and all others of their groups, each once."""
        names = dict.fromkeys(name_group(clip) for clip in clips)
        return [clip for name in names for clip in self._clips[name]]


class UnionFind:
    """Disjoint sets of group names; a set is named by the first of its names in sort order."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def find(self, name: str) -> str:
        """The first name of its set."""
        first = name
        while first in self._above:
            first = self._above[first]
        if first != name:
            self._above[name] = first  # path compression
        return first

    def union(self, one: str, other: str) -> None:
        """Join the sets of both."""
        first, later = sorted((self.find(one), self.find(other)))
        if first != later:
            self._above[later] = first


def join_groups(clips: Sequence[Candidate], pattern: str | None, rows: Iterable[LabelRow]) -> list[Candidate]:
    """The clips with the groups that `dataset.path_pattern` finds in their paths, if the labels name none.

    Groups that share a recording (the video, unless the labels name one) are joined, and named by the first of their
    names. Raises UserError, with positions from `rows`, if clips of one group are in several official splits.
    """
    find = compile_group_pattern(pattern)
    named = [clip.group or _find_in_path(find, clip.video or clip.id) or clip.recording for clip in clips]
    if find and clips and not any(find.search(clip.video or clip.id) for clip in clips):
        first = clips[0].video or clips[0].id
        print(f"warning: dataset.path_pattern {pattern!r} fits no path, such as {first}", file=sys.stderr)
    if not any(named):
        return list(clips)
    recordings = [clip.recording or clip.video or clip.id for clip in clips]
    joined = UnionFind()
    of_recording: dict[str, str] = {}  # recording -> one of its groups
    for recording, group in zip(recordings, named, strict=True):
        if group:
            joined.union(group, of_recording.setdefault(recording, group))
    groups = [group or of_recording.get(name, "") for name, group in zip(recordings, named, strict=True)]
    grouped = [
        clip._replace(group=joined.find(group) if group else "") for clip, group in zip(clips, groups, strict=True)
    ]
    _refuse_split_groups(grouped, rows, "dataset.path_pattern" if find else "dataset.columns.group")
    return grouped


def compile_group_pattern(pattern: str | None) -> re.Pattern[str] | None:
    """`dataset.path_pattern` if it finds groups: it has a capture group `group`, or no named ones."""
    find = re.compile(pattern) if pattern else None
    return find if find and (not find.groupindex or "group" in find.groupindex) else None


def _refuse_split_groups(clips: Iterable[Candidate], rows: Iterable[LabelRow], key: str) -> None:
    first: dict[str, Candidate] = {}
    for clip in clips:
        before = first.setdefault(clip.group, clip)
        if clip.group and clip.official_split != before.official_split:
            locations = {row.id: row.location for row in rows}
            detail = " and ".join(
                f"{describe_location(locations[one.id])} in {one.official_split}" for one in (before, clip)
            )
            raise UserError(
                f"{key}: the group {clip.group!r} is in two official splits: {detail}; let the groups go, {key}: null, "
                "or the splits: one file of labels, and dataset.columns.split: null"
            )


def _find_in_path(pattern: re.Pattern[str] | None, path: str) -> str:
    found = pattern.search(path) if pattern else None
    return (found["group" if found.re.groupindex else 1] or "") if found else ""


def keep_groups_whole(rows: Sequence[LabelRow]) -> list[LabelRow]:
    """The rows without the groups that are in several official splits."""
    splits: dict[str, set[OfficialSplit]] = defaultdict(set)
    for row in rows:
        splits[row.group].add(row.official_split)
    return [row._replace(group="") if len(splits[row.group]) > 1 else row for row in rows]


def keep_together(rows: Sequence[LabelRow], names: Sequence[str]) -> list[LabelRow]:
    """The rows with these names as groups, if several videos share a name; existing groups are kept."""
    videos: dict[str, set[str]] = defaultdict(set)
    for row, name in zip(rows, names, strict=True):
        videos[name].add(row.video)
    return [
        row._replace(group=row.group or name) if len(videos[name]) > 1 else row
        for row, name in zip(rows, names, strict=True)
    ]


def compute_no_signatures(_: list[Clip]) -> Sequence[Signature]:
    """No signatures, so that only equal files are duplicates."""
    return ()


def resolve_duplicates(
    clips: Sequence[Candidate], files: Mapping[str, str], digest: Digest, sign: ComputeSignatures, choice: Duplicates
) -> tuple[list[Candidate], list[Drop]]:
    """The clips with near-duplicates in one group, or only the first of them by id; and the drops of the others.

    `files` are the paths of the videos by id. Several captions of the same part of a file are all kept. Raises
    UserError if near-duplicates to be grouped are in several official splits.
    """
    if choice == "keep":
        return list(clips), []
    shown = {
        clip.id: (found, clip.segment)
        for clip, found in zip(clips, digest([files[clip.id] for clip in clips]), strict=True)
        if not isinstance(found, NoVideo)
    }
    sets = _find_duplicates(clips, shown, files, sign)
    return _drop_later(clips, sets, files) if choice == "drop" else (_group_duplicates(clips, sets), [])


def _find_duplicates(
    clips: Sequence[Candidate], shown: Mapping[str, Shown], files: Mapping[str, str], sign: ComputeSignatures
) -> list[list[Candidate]]:
    """The clips of each set of near-duplicates, sorted by id. Of clips with equal content, only one is decoded."""
    alike: dict[Shown, list[Candidate]] = {}
    for clip in sorted(clips, key=lambda clip: clip.id):
        if clip.id in shown:
            alike.setdefault(shown[clip.id], []).append(clip)
    first = {same[0].id: same for same in alike.values()}
    signatures = sign([_make_clip(same[0], what[0], files[same[0].id]) for what, same in alike.items()])
    sets = find_sets(compare_signatures(decode_signatures(signatures)))
    found = [[clip for row in rows for clip in first[signatures[row].id]] for rows in sets]
    compared = {clip.id for same in found for clip in same}
    found += [same for name, same in first.items() if name not in compared]
    return [sorted(same, key=lambda clip: clip.id) for same in found if len(same) > 1]


def _make_clip(clip: Candidate, digest: str, file: str) -> Clip:
    """The clip with the fields needed for decoding."""
    texts = (clip.caption, clip.original, clip.category, clip.template)
    return Clip(clip.id, *texts, (), "train", file, digest, False, clip.segment.start, clip.segment.end)


def _drop_later(
    clips: Sequence[Candidate], sets: Sequence[Sequence[Candidate]], files: Mapping[str, str]
) -> tuple[list[Candidate], list[Drop]]:
    """Drop all but the first of each set; other captions of the same part as the first are kept."""
    gone = {
        clip.id: same[0].id
        for same in sets
        for clip in same
        if (files[clip.id], clip.segment) != (files[same[0].id], same[0].segment)
    }
    drops = [Drop(name, "near_duplicate", f"of {first}") for name, first in gone.items()]
    return [clip for clip in clips if clip.id not in gone], drops


def _group_duplicates(clips: Sequence[Candidate], sets: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """Join all groups that share near-duplicates; named by the first of them."""
    names = UnionFind()
    for same in sets:
        _refuse_split_duplicates(same)
        for clip in same:
            names.union(name_group(same[0]), name_group(clip))
    joined = {name_group(clip) for same in sets for clip in same}
    return [clip._replace(group=names.find(name)) if (name := name_group(clip)) in joined else clip for clip in clips]


def _refuse_split_duplicates(same: Sequence[Candidate]) -> None:
    first = same[0]
    for clip in same:
        if clip.official_split != first.official_split:
            detail = f"{first.id} in {first.official_split} and {clip.id} in {clip.official_split}"
            raise UserError(
                f"filter.duplicates: group: near-duplicates are in two official splits, {detail}; set it to drop, or "
                "let the splits go (dataset.columns.split: null)"
            )
