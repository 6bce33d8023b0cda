"""Which clips a run is validated on, and which of its training clips they are compared with."""

import sys
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from pipeline.directions import motion_of
from pipeline.params import TrainParams
from pipeline.records import Caption, Clip
from pipeline.shards import ShardReader
from pipeline.training.batches import condition_ids, pad
from pipeline.training.validation import LEAST, Few, Validation


def open_validation(
    seed: int,
    params: TrainParams,
    labels: Sequence[Clip],
    captions: Sequence[Caption],
    shards: ShardReader,
    device: torch.device,
    at_once: int,
) -> Validation | None:
    """The validation of a run on the split val; None, and a sentence that says so, where there is too little of it."""
    known, heard = {clip.id: clip for clip in labels}, {caption.id: caption for caption in captions}
    rows = [row for row, name in enumerate(shards.ids) if name in known and name in heard]
    clips = {row: known[shards.ids[row]] for row in rows}
    val, train = ([row for row, clip in clips.items() if clip.split == split] for split in ("val", "train"))
    # The discriminator of mixed batches judges whole groups.
    count = min(params.validation.clips, len(val), len(train)) // params.group_clips * params.group_clips
    if count < LEAST:
        told = f"{len(val)} clips of the split val and {len(train)} of train, at most {params.validation.clips} wanted"
        print(f"train: no validation: {told}; it takes {LEAST} of each", file=sys.stderr)
        return None
    val = [val[at] for at in np.linspace(0, len(val) - 1, count).round().astype(int)]
    saying = sum(motion_of(clips[row].caption) is not None for row in val)
    if params.validation.metric == "motion_direction" and saying < LEAST:
        told = f"{saying} of {count} captions of val say which way things move"
        print(f"train: no generator is the best one: {told}, it takes {LEAST}", file=sys.stderr)
    places = counterparts([clips[row] for row in val], [clips[row] for row in train])

    def few(rows: Sequence[int]) -> Few:
        ids = [condition_ids(heard[clips[row].id], params.captions.conditioning) for row in rows]
        return Few([clips[row].caption for row in rows], shards.frames(rows), pad(ids).to(device))

    return Validation(seed, few([train[place] for place in places]), few(val), at_once)


def counterparts(wanted: Sequence[Clip], clips: Sequence[Clip]) -> list[int]:
    """For each clip wanted the place of one like it, none twice: of its meaning, else of its category, else any.

    What a discriminator says depends on what is seen; only with equal contents does a difference tell seen from unseen.
    """
    free = dict.fromkeys(range(len(clips)))
    alike: dict[object, list[int]] = defaultdict(list)
    for place, clip in enumerate(clips):
        for kind in _kinds(clip):
            alike[kind].append(place)
    found = [-1] * len(wanted)
    for step in range(3):  # what is alike is dealt out first, so that no clip takes it from one it fits better
        for row, clip in enumerate(wanted):
            if found[row] < 0:
                found[row] = next((place for place in alike[_kinds(clip)[step]] if place in free), -1)
                free.pop(found[row], None)
    return found


def _kinds(clip: Clip) -> tuple[object, object, object]:
    return (clip.category, clip.objects), clip.category, None
