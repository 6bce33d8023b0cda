"""Names of files that tell which video a clip is cut from, as those of UCF-101, HMDB-51 and Kinetics do -> groups."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from pipeline.corpus.rows import LabelRow, OfficialSplit
from pipeline.corpus.video_names import split_ending

# v_ApplyEyeMakeup_g08_c01: the eighth source of a class
UCF = re.compile(r"(v_\w+_g\d\d)_c\d\d")
# April_09_brush_hair_u_nm_np1_ba_goo_0: film, class, what is seen of the body, camera, people, side, quality, number
HMDB_END = r"_[a-z]_[a-z]{2}_np\d+_[a-z]{2}_[a-z]{3}_\d+"
HMDB = re.compile(rf"(.+)_[a-z]+{HMDB_END}")
# 0wR5jVB-WPk_000417_000427: id of YouTube, start, end
KINETICS = re.compile(r"([\w-]{11})_\d{6}_\d{6}")


def group_by_origin(rows: Sequence[LabelRow]) -> list[LabelRow]:
    """The rows with groups where the names of all videos are of one such kind and no row has a group; that is printed.

    Where official splits part a group, they go first.
    """
    if not rows or any(row.group or row.recording for row in rows):
        return list(rows)
    for kind, find in ORIGINS.items():
        # Nearly always the first name tells that they are not.
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
