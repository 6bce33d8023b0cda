"""Clips -> splits, decided by a hash of the id, so that adding data never reshuffles."""

import difflib
import re
from collections import Counter
from collections.abc import Collection, Sequence

from pipeline.corpus.hashing import unit_hash
from pipeline.corpus.pairs import Cell, hold_out_pairs
from pipeline.corpus.rows import Labelled, Part
from pipeline.errors import UserError
from pipeline.params import FilterParams, ShareParams
from pipeline.records import Split

WORD = re.compile(r"[^\W_]+")


def split_clips(clips: Sequence[Labelled], options: FilterParams) -> tuple[list[Split], list[Cell]]:
    """The split of each clip, and the (object, category) cells held out.

    Words come first: a clip with a held-out word is in `test_words` whatever else it is. The cells are chosen among
    the rest. Neither the seed nor the order of the rows counts.
    """
    choices = split_choices({clip.part for clip in clips})
    # Several captions of one video share its split.
    splits = [split_of_id(clip.video or clip.id, choices[clip.part], options.shares) for clip in clips]
    assert isinstance(options.test_words, list) and isinstance(options.test_pairs, float)
    spoken = _clips_with(clips, options.test_words)
    rest = [clip for clip in clips if clip.id not in spoken]
    trained = {clip.id for clip, split in zip(clips, splits, strict=True) if split == "train"}
    pairs = hold_out_pairs(rest, trained, options.test_pairs)
    held = frozenset(pairs)
    for number, clip in enumerate(clips):
        if clip.id in spoken:
            splits[number] = "test_words"
        elif any((word, clip.category) in held for word in clip.objects):
            splits[number] = "test_pairs"
    return splits, pairs


def split_choices(parts: Collection[Part]) -> dict[Part, tuple[Split, ...]]:
    """The splits that the clips of each official part are divided among, given which parts there are.

    The judge always comes out of training clips. Of validation and test the one that is missing is made: test out
    of validation, or validation out of training, so that an official test part is never thinned.
    """
    tested, validated = "test" in parts, "validation" in parts
    return {
        "all": ("train", "judge", "val", "test"),
        "train": ("train", "judge", "val") if tested and not validated else ("train", "judge"),
        "validation": ("val",) if tested else ("val", "test"),
        "test": ("test",),
    }


def split_of_id(clip_id: str, among: Sequence[Split], shares: ShareParams) -> Split:
    """The split of an id among these, in proportion of their shares; a single one has all, whatever its share."""
    if len(among) == 1:
        return among[0]
    choices = {name: getattr(shares, name) for name in among}
    total = sum(choices.values())
    if total == 0:
        raise UserError(f"filter.shares: {' and '.join(choices)} are all 0, but there are clips for them; raise one")
    point = unit_hash("split", clip_id) * total
    for name, share in choices.items():
        if point < share:
            return name
        point -= share
    return max(choices, key=lambda name: choices[name])  # rounding at the very end of the last share


def _clips_with(clips: Sequence[Labelled], words: Sequence[str]) -> set[str]:
    """The ids of the clips with a word, or several in a row, in an object or anywhere in the caption.

    Raises UserError for a word that no clip holds: most likely it is misspelt.
    """
    texts = [(clip.id, "|".join(_words(text) for text in (clip.caption, *clip.objects))) for clip in clips if words]
    found: set[str] = set()
    for word in words:
        ids = {clip_id for clip_id, text in texts if _words(word) in text}
        if not ids:
            raise UserError(f"filter.test_words: no chosen clip holds {word!r}; {_nearest(word, clips)}")
        found |= ids
    return found


def _words(text: str) -> str:
    return f" {' '.join(WORD.findall(text.lower()))} "


def _nearest(word: str, clips: Sequence[Labelled]) -> str:
    counts = Counter(name for clip in clips for name in clip.objects)
    near = difflib.get_close_matches(word.lower(), counts, n=4)
    names = near or sorted(counts, key=lambda name: (-counts[name], name))[:8]
    return (
        f"{'nearest' if near else 'commonest'} objects: {', '.join(f'{name} ({counts[name]} clips)' for name in names)}"
    )
