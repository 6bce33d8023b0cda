"""Near-duplicates among the candidate clips: kept together in one split, or all but the first dropped."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pipeline.corpus.groups import JoinedNames, name_group
from pipeline.corpus.rows import Candidate, Segment
from pipeline.corpus.video_names import NoVideo
from pipeline.duplicates import compare_signatures, decode_signatures, find_sets
from pipeline.errors import UserError
from pipeline.records import Clip, Drop, Signature

Shown = tuple[str, Segment]  # what a clip shows: the digest of its video, and the part of it
# Clips sorted by id -> their signatures; one that cannot be decoded has none.
ComputeSignatures = Callable[[list[Clip]], Sequence[Signature]]
Digest = Callable[[list[str]], list[str | NoVideo]]  # of files, or why one cannot be read
Duplicates = Literal["keep", "group", "drop"]


def compute_no_signatures(_: list[Clip]) -> Sequence[Signature]:
    """For near-duplicates of which only equal files count."""
    return ()


def resolve_duplicates(
    clips: Sequence[Candidate], files: Mapping[str, str], digest: Digest, sign: ComputeSignatures, choice: Duplicates
) -> tuple[list[Candidate], list[Drop]]:
    """The clips, near-duplicates in one group or only the first by id, and the drops of the others.

    `files` are the paths of the videos by id. Captions of one part of one file stay together. Raises
    UserError where near-duplicates to be grouped are in several official splits.
    """
    if choice == "keep":
        return list(clips), []
    shown = {
        clip.id: (found, clip.segment)
        for clip, found in zip(clips, digest([files[clip.id] for clip in clips]), strict=True)
        if not isinstance(found, NoVideo)
    }
    sets = _find_sets(clips, shown, files, sign)
    return _drop_later(clips, sets, files) if choice == "drop" else (_join(clips, sets), [])


def _find_sets(
    clips: Sequence[Candidate], shown: Mapping[str, Shown], files: Mapping[str, str], sign: ComputeSignatures
) -> list[list[Candidate]]:
    """The clips of each set of near-duplicates, sorted by id. Of clips with equal bytes only one is decoded."""
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
    """What is needed to decode it."""
    texts = (clip.caption, clip.original, clip.category, clip.template)
    return Clip(clip.id, *texts, (), "train", file, digest, False, clip.segment.start, clip.segment.end)


def _drop_later(
    clips: Sequence[Candidate], sets: Sequence[Sequence[Candidate]], files: Mapping[str, str]
) -> tuple[list[Candidate], list[Drop]]:
    """Without all but the first of each set; other captions of what the first shows stay."""
    gone = {
        clip.id: same[0].id
        for same in sets
        for clip in same
        if (files[clip.id], clip.segment) != (files[same[0].id], same[0].segment)
    }
    drops = [Drop(name, "near_duplicate", f"of {first}") for name, first in gone.items()]
    return [clip for clip in clips if clip.id not in gone], drops


def _join(clips: Sequence[Candidate], sets: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """With all groups that share near-duplicates in one group, called as the first of them."""
    names = JoinedNames()
    for same in sets:
        _refuse_parted(same)
        for clip in same:
            names.join(name_group(same[0]), name_group(clip))
    joined = {name_group(clip) for same in sets for clip in same}
    return [
        clip._replace(group=names.find_first(name)) if (name := name_group(clip)) in joined else clip for clip in clips
    ]


def _refuse_parted(same: Sequence[Candidate]) -> None:
    first = same[0]
    for clip in same:
        if clip.official_split != first.official_split:
            detail = f"{first.id} in {first.official_split} and {clip.id} in {clip.official_split}"
            raise UserError(
                f"filter.duplicates: group: near-duplicates are in two official splits, {detail}; set it to drop, or "
                "let the splits go (dataset.columns.split: null)"
            )
