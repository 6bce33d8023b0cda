"""Which captions are drawn again and again while a training goes on."""

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from pipeline.records import Clip, Frames
from pipeline.training.batches import to_frames
from pipeline.training.clips import ClipSet
from pipeline.training.seeds import noise
from pipeline.training.step import Networks

SHOWN = 8  # clips in a picture


class Sampled:
    """The same captions with the same noise throughout a run: `captions`, from left to right."""

    def __init__(self, seed: int, clips: ClipSet) -> None:
        self._seed = seed
        rows = spread_out(clips.clips, SHOWN)
        self.captions = [clips.clips[row].caption for row in rows]
        self._token_ids = clips.token_ids[rows]

    def draw(self, nets: Networks) -> Frames:
        """Samples of the averaged generator: uint8 [N,T,H,W,3]."""
        z = noise(self._seed, len(self.captions), nets.average.z_width).to(self._token_ids.device)
        with torch.no_grad():
            return to_frames(nets.average(z, self._token_ids))


def spread_out(clips: Sequence[Clip], count: int) -> list[int]:
    """Rows of `count` clips: every category in turn, of each the commonest objects first.

    Of more categories than that a part is taken, evenly by name; with fewer meanings than that they come again.
    """
    found = Counter((clip.category, clip.objects) for clip in clips)
    first = {(clip.category, clip.objects): row for row, clip in reversed(list(enumerate(clips)))}
    categories = sorted({category for category, _ in found})
    if len(categories) > count:
        categories = [categories[at] for at in np.linspace(0, len(categories) - 1, count).round().astype(int)]
    columns = [sorted((m for m in found if m[0] == name), key=lambda m: (-found[m], m)) for name in categories]
    turns = [meaning for turn in itertools.zip_longest(*columns) for meaning in turn if meaning]
    return [first[meaning] for meaning in itertools.islice(itertools.cycle(turns), count)]
