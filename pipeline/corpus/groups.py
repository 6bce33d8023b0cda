"""Groups of clips that must stay in one split: those of one video, or of one recording, person or place.

Labels name them, a pattern finds them in paths, or names of files tell them, as those of UCF-101, HMDB-51 and Kinetics
do.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from pipeline.corpus.rows import Candidate, LabelRow, OfficialSplit
from pipeline.corpus.video_names import split_ending
from pipeline.errors import UserError

# v_ApplyEyeMakeup_g08_c01: the eighth source of a class
UCF = re.compile(r"(v_\w+_g\d\d)_c\d\d")
# April_09_brush_hair_u_nm_np1_ba_goo_0: film, class, what is seen of the body, camera, people, side, quality, number
HMDB_END = r"_[a-z]_[a-z]{2}_np\d+_[a-z]{2}_[a-z]{3}_\d+"
HMDB = re.compile(rf"(.+)_[a-z]+{HMDB_END}")
# 0wR5jVB-WPk_000417_000427: id of YouTube, start, end
KINETICS = re.compile(r"([\w-]{11})_\d{6}_\d{6}")


def name_group(clip: Candidate) -> str:
    """The name of the clip's group: as the labels have it, else the path of its video, else its id."""
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


class JoinedNames:
    """Names of groups, of which some turn out to be one group, called as the first of them."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def find_first(self, name: str) -> str:
        """The first name of its group; its own where it was joined with none before it."""
        first = name
        while first in self._above:
            first = self._above[first]
        if first != name:
            self._above[name] = first  # so that the next search is short
        return first

    def join(self, one: str, other: str) -> None:
        """From now on the groups of both are one."""
        first, later = sorted((self.find_first(one), self.find_first(other)))
        if first != later:
            self._above[later] = first


def join_groups(clips: Sequence[Candidate], pattern: str | None) -> list[Candidate]:
    """The clips with the groups that `dataset.group_pattern` finds in their paths, where the labels name none.

    Groups that share a recording, which is the video unless the labels say otherwise, are one group, called as the
    first of their names.
    """
    find = re.compile(pattern) if pattern else None
    named = [clip.group or _find_in_path(find, clip.video or clip.id) or clip.recording for clip in clips]
    if find and clips and not any(find.search(clip.video or clip.id) for clip in clips):
        first = clips[0].video or clips[0].id
        print(f"warning: dataset.group_pattern {pattern!r} fits no path, such as {first}", file=sys.stderr)
    if not any(named):
        return list(clips)
    recordings = [clip.recording or clip.video or clip.id for clip in clips]
    joined = JoinedNames()
    of_recording: dict[str, str] = {}  # recording -> one of its groups
    for recording, group in zip(recordings, named, strict=True):
        if group:
            joined.join(group, of_recording.setdefault(recording, group))
    groups = [group or of_recording.get(name, "") for name, group in zip(recordings, named, strict=True)]
    return [
        clip._replace(group=joined.find_first(group) if group else "")
        for clip, group in zip(clips, groups, strict=True)
    ]


def refuse_split_groups(clips: Sequence[Candidate], rows: Mapping[str, LabelRow]) -> None:
    """Raise UserError where rows of one named group are in several official splits; `rows` holds them by id."""
    first: dict[str, LabelRow] = {}
    splits: dict[str, OfficialSplit] = {}
    for clip in clips:
        if not clip.group:
            continue
        split = splits.setdefault(clip.group, clip.official_split)
        row, before = rows[clip.id], first.setdefault(clip.group, rows[clip.id])
        if split != clip.official_split:
            detail = " and ".join(
                f"row {where.place[1]} of {where.place[0]} in {where.official_split}" for where in (before, row)
            )
            raise UserError(
                f"dataset.columns.group: the group {clip.group!r} is in two official splits: {detail}; "
                "let the groups or the splits go, dataset.columns.group: null or dataset.columns.split: null"
            )


def _find_in_path(pattern: re.Pattern[str] | None, path: str) -> str:
    found = pattern.search(path) if pattern else None
    return (found[1] or "") if found else ""


def group_by_origin(rows: Sequence[LabelRow]) -> list[LabelRow]:
    """The rows with groups where the names of all videos are of one such kind and no row has a group; that is printed.

    Where official splits part a group, they go first.
    """
    if not rows or any(row.group or row.recording for row in rows):
        return list(rows)
    for kind, find in ORIGINS.items():
        # Nearly always the first name shows that they are not.
        if not find(rows[0]):
            continue
        found = [find(row) for row in rows]
        if all(found):
            print(f"filter: the videos are called as those of {kind}: clips of one source stay in one split")
            return keep_groups_whole([row._replace(group=group) for row, group in zip(rows, found, strict=True)])
    return list(rows)


def keep_groups_whole(rows: Sequence[LabelRow]) -> list[LabelRow]:
    """The rows without those groups that official splits part."""
    splits: dict[str, set[OfficialSplit]] = defaultdict(set)
    for row in rows:
        splits[row.group].add(row.official_split)
    return [row._replace(group="") if len(splits[row.group]) > 1 else row for row in rows]


def _find_source(pattern: re.Pattern[str], row: LabelRow) -> str:
    found = pattern.fullmatch(split_ending((row.video or row.id).rpartition("/")[2])[0])
    return found[1] if found else ""


def _find_hmdb(row: LabelRow) -> str:
    """The film; its class is known, since both may hold underscores."""
    known = re.compile(rf"(.+)_{re.escape(row.template.replace(' ', '_'))}{HMDB_END}")
    return _find_source(known, row) or _find_source(HMDB, row)


ORIGINS: dict[str, Callable[[LabelRow], str]] = {
    "UCF-101": partial(_find_source, UCF),
    "HMDB-51": _find_hmdb,
    "Kinetics": partial(_find_source, KINETICS),
}
