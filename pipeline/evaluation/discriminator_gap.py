"""Has the discriminator learned its training clips by heart? What it says of them and of real clips it never met.

The test of Thanh-Tung et al. 2019, "Improving Generalization and Stability of Generative Adversarial Networks"
(arXiv:1902.03984): one that generalises holds both for equally real.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from pipeline.data.batches import pad, to_training
from pipeline.data.dataset import read_vectors
from pipeline.errors import UserError
from pipeline.evaluation.controls import Clips
from pipeline.evaluation.intervals import Figure, Formula, interval_of_means
from pipeline.evaluation.metrics import FEWEST
from pipeline.evaluation.views import Floats
from pipeline.inference import DISCRIMINATOR, Model
from pipeline.models.layers import channels_last
from pipeline.models.networks import CaptionedDiscriminator
from pipeline.params import TrainParams
from pipeline.records import VECTORS

TRAINED, UNSEEN, MADE = "real train", "real unseen", "model"  # sets of clips
AT_ONCE = 16  # clips in one pass, or one group of clips that are judged together, where that is more


class Critic:
    """The discriminator of a run as it was at the end, read from the folder of its model."""

    def __init__(self, folder: Path, model: Model) -> None:
        self._condition = model.condition
        params = TrainParams.model_validate(model.description["train"])
        learned = len(model.vocabulary) - int(model.description["vocabulary"]["unlearned"])
        self._group = params.group_clips
        self._network = CaptionedDiscriminator(model.shape, params, learned, read_vectors(folder / VECTORS))
        try:
            self._network.load_state_dict(load_file(folder / DISCRIMINATOR))
        except FileNotFoundError:
            raise UserError(f"{folder / DISCRIMINATOR}: no such file; `dvc repro train` makes it") from None
        except (SafetensorError, RuntimeError) as error:
            raise UserError(
                f"{folder / DISCRIMINATOR}: not the discriminator of this model ({error}); `dvc repro -f train`"
            ) from None
        channels_last(self._network.eval().requires_grad_(False))

    def logits(self, clips: Clips) -> Floats:
        """How real each clip looks under its own caption [N]; clips that are judged in groups share one of a kind."""
        count, step = len(clips.prompts), max(AT_ONCE // self._group, 1) * self._group
        rows = np.arange(-(-count // self._group) * self._group) % count  # the last group is filled from the start
        ids = pad([self._condition(prompt.caption) for prompt in clips.prompts])[rows]
        with torch.inference_mode():
            parts = [
                self._network(to_training(torch.from_numpy(clips.frames[rows[at : at + step]])), ids[at : at + step])
                for at in range(0, len(rows), step)
            ]
        logits: Floats = torch.cat(parts)[:count].double().numpy()
        return logits


def gap_figures(logits: Mapping[str, Floats], resamples: int, seed: int) -> dict[str, Figure]:
    """How far logits of training clips lie above those of unseen real ones, and that in units of real to generated."""
    trained, unseen, made = (logits[name] for name in (TRAINED, UNSEEN, MADE))
    count = min(len(trained), len(unseen))
    if count < FEWEST:
        absent = Figure(None, clips=count, reason=f"{count} clips of each kind, {FEWEST} are needed")
        return {"discriminator_gap": absent, "discriminator_gap_ratio": absent}
    # Equal numbers, spread evenly: both means are then equally sure.
    trained, unseen = (some[np.linspace(0, len(some) - 1, count).round().astype(int)] for some in (trained, unseen))

    def figure(formula: Formula, *sets: Floats) -> Figure:
        low, high = interval_of_means(sets, resamples, np.random.default_rng(seed), formula)
        return Figure(float(formula(*(some.mean() for some in sets))), low, high, count)

    told = {"discriminator_gap": figure(_gap, trained, unseen)}
    apart = figure(_gap, trained, made)
    if apart.low is None or apart.low <= 0:
        reason = "the discriminator does not tell training clips from generated ones"
        return told | {"discriminator_gap_ratio": Figure(None, clips=count, reason=reason)}
    return told | {"discriminator_gap_ratio": figure(_ratio, trained, unseen, made)}


def _gap(trained: Floats, other: Floats) -> Floats:
    return trained - other


def _ratio(trained: Floats, unseen: Floats, made: Floats) -> Floats:
    return (trained - unseen) / (trained - made)


def logit_figures(logits: Mapping[str, Floats], resamples: int, seed: int) -> dict[str, Figure]:
    """The mean logit of each set of clips."""
    told = {}
    for name, values in logits.items():
        low, high = interval_of_means([values], resamples, np.random.default_rng(seed), lambda mean: mean)
        told[name] = Figure(float(values.mean()), low, high, len(values))
    return told
