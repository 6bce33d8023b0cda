"""What a training run is, and the networks that it begins with."""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline.models.layers import channels_last
from pipeline.models.networks import CaptionedDiscriminator, TextToVideo
from pipeline.params import ClipParams, LoggingParams, TrainParams
from pipeline.training.seeds import reseed
from pipeline.training.states import States
from pipeline.training.step import Networks


@dataclass(frozen=True)
class Run:
    """What one training run is, apart from its data and devices."""

    seed: int
    shape: ClipParams
    params: TrainParams
    words: int  # of the vocabulary that are learned
    states: States
    folder: Path  # for TensorBoard and pictures
    given: Tensor | None = None  # vectors [V,D] of the vocabulary, where they come from elsewhere
    names_object: Tensor | None = None  # bool [words]: which words name objects; all, where nothing is known
    state_clips: int | None = None  # clips between two saved states; None: saved when asked to stop, and at the end
    logging: LoggingParams | None = None  # None: to the terminal alone


def build_networks(run: Run, device: torch.device) -> Networks:
    """Freshly initialised networks, the same on every rank."""
    reseed(run.seed, 0, -1)
    generator = TextToVideo(run.shape, run.params, run.words, run.given, run.names_object)
    discriminator = CaptionedDiscriminator(run.shape, run.params, run.words, run.given)
    for model in (generator, discriminator):
        channels_last(model.to(device))
    return Networks(generator, discriminator, copy.deepcopy(generator), run.params)
