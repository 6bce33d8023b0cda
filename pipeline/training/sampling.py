"""Noise and token ids -> finished frames, with a generator that has been exported."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.records import Frames
from pipeline.training.batches import pad, to_frames
from pipeline.training.export import Model

AT_ONCE = 16  # clips in one pass: memory stays small however many are asked for


def sample(model: Model, token_ids: Sequence[Sequence[int]], z: Tensor) -> Frames:
    """One clip for each caption and row of z [N,Z] -> uint8 [N,T,H,W,3], on the CPU.

    Raises UserError where the generator draws what is no number, which would look like a black clip.
    """
    ids = pad(token_ids)
    with torch.inference_mode():
        parts = [model.generator(z[at : at + AT_ONCE], ids[at : at + AT_ONCE]) for at in range(0, len(ids), AT_ONCE)]
    clips = torch.cat(parts)
    if not clips.isfinite().all():
        raise UserError("the generator draws pixels that are no numbers: its weights are broken; `dvc repro -f train`")
    return to_frames(clips)
