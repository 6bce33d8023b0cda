"""The mirrored twins of clips: the same video flipped left to right, with words that say so.

A twin is in the split of its clip, as it shows the same video. Where its own words or its own (object, category) cell
belong into another split, there is no twin: in training it would show what is held out for testing.
"""

from collections import Counter
from collections.abc import Sequence

from pipeline.corpus.split import Held
from pipeline.corpus.twins import texts_of, twin_fault, twin_of
from pipeline.directions import counter_spelling
from pipeline.errors import UserError
from pipeline.records import Clip, Split

HELD_OUT: tuple[Split, ...] = ("test_pairs", "test_words")


def mirror_clips(clips: Sequence[Clip], held: Held) -> tuple[list[Clip], Counter[str]]:
    """The twins, and how many clips have none, by reason: a fault of `mirror_fault`, or `held_out`.

    Raises UserError where the id of a twin is that of a clip.
    """
    counter = counter_spelling(clip.caption for clip in clips)
    twins: list[Clip] = []
    without: Counter[str] = Counter()
    for clip in clips:
        fault = twin_fault(clip, counter)
        if fault:
            without[fault] += 1
            continue
        twin = twin_of(clip, counter)
        # Only other words can ask for another split.
        if texts_of(twin) != texts_of(clip) and held.split_of(twin.caption, twin.objects, twin.category) != (
            clip.split if clip.split in HELD_OUT else None
        ):
            without["held_out"] += 1
            continue
        twins.append(twin)
    taken = {twin.id for twin in twins} & {clip.id for clip in clips}
    if taken:
        raise UserError(f"filter.mirror: the id {min(taken)!r} is that of a mirrored twin, too; rename the clip")
    return twins, without
