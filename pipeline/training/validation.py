"""What is measured on the split val while a training goes on: cheap, by no other network, each time alike."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.directions import motion_of
from pipeline.measures.coarse import in_parts, shrink
from pipeline.measures.discrepancy import Features, alike, mmd
from pipeline.measures.fineness import fineness_of
from pipeline.measures.motion import agrees, flow_of, movement_of
from pipeline.records import Frames
from pipeline.training.batches import to_frames, to_training
from pipeline.training.log import Row
from pipeline.training.objectives import uncompiled
from pipeline.training.seeds import derive, noise
from pipeline.training.step import Networks

LEAST = 20  # clips: a figure of fewer would be chance


@dataclass(frozen=True)
class Few:
    """Real clips with their captions."""

    captions: Sequence[str]
    frames: Frames  # uint8 [N,T,H,W,3]
    token_ids: Tensor  # int64 [N,L]


class Validation:
    """Measures the networks of a run: on the same clips of val, with the same captions and noise, each time.

    `train` holds as many training clips. No more than `at_once` clips go through a network together.
    """

    def __init__(self, seed: int, train: Few, val: Few, at_once: int) -> None:
        self._seed, self._train, self._val, self._at_once = derive(seed, "val"), train, val, at_once
        self._said = {row: said for row, caption in enumerate(val.captions) if (said := motion_of(caption))}
        self._looks = looks_of(val.frames)

    def measure(self, nets: Networks) -> Row:
        """Figures by name; `val/motion_direction` is missing where too few captions say which way things move.

        The discriminator's gap is its mean logit on train less that on val, which grows as it learns its clips by
        heart: Thanh-Tung et al. 2019, arXiv:1902.03984. Beside it the same of val less samples.
        """
        with torch.no_grad(), at_rest(nets.discriminator), uncompiled():  # at rest it would be compiled once more
            z = noise(self._seed, len(self._val.captions), nets.average.z_width).to(self._val.token_ids.device)
            samples = [nets.average(z[part], self._val.token_ids[part]) for part in self._parts()]
            made = _mean(
                [nets.discriminator(x, self._val.token_ids[p]) for x, p in zip(samples, self._parts(), strict=True)]
            )
            trained, unseen = self._on_real(nets, self._train), self._on_real(nets, self._val)
        frames = np.concatenate([to_frames(part) for part in samples])
        row = {"val/discriminator_gap": trained - unseen, "val/discriminator_gap_generated": unseen - made}
        row["val/discrepancy"] = discrepancy_of(self._looks, looks_of(frames))
        if len(self._said) >= LEAST:
            right = [agrees(movement_of(flow_of(frames[row])), said) for row, said in self._said.items()]
            row["val/motion_direction"] = float(np.mean(right))
        return row

    def _on_real(self, nets: Networks, few: Few) -> float:
        device = few.token_ids.device
        frames = torch.from_numpy(few.frames)
        return _mean([nets.discriminator(to_training(frames[p].to(device)), few.token_ids[p]) for p in self._parts()])

    def _parts(self) -> list[slice]:
        return [slice(at, at + self._at_once) for at in range(0, len(self._val.captions), self._at_once)]


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """Within it, `model` learns nothing from what it sees, as its spectral norms do in training."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def looks_of(clips: Frames) -> list[Features]:
    """What clips look like: details by size [N,12], and where there is what [N,768]."""
    return [
        np.array([fineness_of(clip) for clip in clips]),
        np.array([shrink(in_parts(clip)) for clip in clips]),
    ]


def discrepancy_of(real: Sequence[Features], fake: Sequence[Features]) -> float:
    """How far two sets of clips are from each other by their looks, of which each kind has the same weight."""
    kinds = [(*alike(a, b), a.shape[1]) for a, b in zip(real, fake, strict=True)]
    width = sum(features for *_, features in kinds)
    weights = [np.sqrt(width / (len(kinds) * features)) for *_, features in kinds]
    sets = zip(*((a * weight, b * weight) for (a, b, _), weight in zip(kinds, weights, strict=True)), strict=True)
    return mmd(*(np.concatenate(blocks, axis=1) for blocks in sets))


def _mean(logits: list[Tensor]) -> float:
    return float(torch.cat(logits).double().mean())
