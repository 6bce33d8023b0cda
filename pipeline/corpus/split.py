"""Clips -> splits, decided by a hash of the id, so that adding data never reshuffles."""

from collections.abc import Collection, Iterable, Sequence

from pipeline.corpus.captions import Phrases
from pipeline.corpus.held_out import NO_VECTORS, Cell, Vectors, hold_out_pairs, hold_out_words
from pipeline.corpus.rows import Companions, Labelled, Part, unit_hash, video_name
from pipeline.errors import UserError
from pipeline.params import FilterParams, ShareParams
from pipeline.records import SPLITS, Split


class Held:
    """What is kept out of training: words that no clip of it says, and (object, category) cells that none shows."""

    def __init__(self, words: list[str], pairs: list[Cell]) -> None:
        self.words = words
        self.pairs = pairs
        self._phrases = Phrases(words)
        self._cells = frozenset(pairs)

    def split_of(self, caption: str, objects: Iterable[str], category: str) -> Split | None:
        """The split of a clip that says such a word or shows such a cell, None where it does neither.

        Words come first: such a clip is in `test_words` whatever else it is.
        """
        if self._phrases.find(caption, objects):
            return "test_words"
        return "test_pairs" if self.shows_cell(objects, category) else None

    def shows_cell(self, objects: Iterable[str], category: str) -> bool:
        """Whether one of the objects and the category are a cell that is held out."""
        return any((word, category) in self._cells for word in objects)


def split_clips(
    clips: Sequence[Labelled], options: FilterParams, vectors: Vectors = NO_VECTORS
) -> tuple[list[Split], Held]:
    """The split of each clip, and what is held out. The cells are chosen among the clips without a held-out word.

    `vectors` are compared where filter.test_words_by says so. Neither the seed nor the order of the rows counts.
    """
    choices = split_choices({clip.part for clip in clips})
    # Several captions of one video share its split, unless it stands in several parts.
    videos = [video_name(clip) for clip in clips]
    splits = [split_of_id(video, choices[clip.part], options.shares) for video, clip in zip(videos, clips, strict=True)]
    later = later_splits(clips, videos, splits)
    trained = {c.id for c, split in zip(clips, splits, strict=True) if split == "train" and c.id not in later}
    words = hold_out_words(clips, trained, options, vectors)
    phrases = Phrases(words)
    saying = [clip for clip in clips if phrases.find(clip.caption, clip.objects)]
    said = {clip.id for clip in saying}
    trained -= {clip.id for clip in Companions(clips).join(saying)}
    held = Held(words, hold_out_pairs([clip for clip in clips if clip.id not in said], trained, options.test_pairs))
    aside: list[Split] = [
        "test_words" if clip.id in said else "test_pairs" if held.shows_cell(clip.objects, clip.category) else split
        for clip, split in zip(clips, splits, strict=True)
    ]
    return aside, held


def later_splits(clips: Sequence[Labelled], files: Sequence[str], splits: Sequence[Split]) -> dict[str, Split]:
    """The clips, by id, whose video is in a later split than they are, because of another caption of it; with that one.

    A video is in one split alone, the last that one of its captions asks for: one held out is nowhere else.
    """
    last: dict[str, Split] = {}
    for file, split in zip(files, splits, strict=True):
        last[file] = max(last.get(file, split), split, key=SPLITS.index)
    return {clip.id: last[file] for clip, file, split in zip(clips, files, splits, strict=True) if split != last[file]}


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
