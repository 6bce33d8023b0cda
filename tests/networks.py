"""Networks to look into: no weight is zero, inputs are drawn, what a layer returns is recorded."""

from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from pipeline.inference import save_model
from pipeline.models.networks import TextToVideo
from pipeline.params import Params
from pipeline.records import PAD_ID
from pipeline.text.vocabulary import PAD_TOKEN, UNKNOWN_TOKEN

Network = TypeVar("Network", bound=nn.Module)


def stir(model: Network, by: float = 0.2) -> Network:
    """The model with random weights where it starts with zeros, so that every path counts."""
    for parameter in model.parameters():
        parameter.data += by * torch.randn_like(parameter)
    return model


def draw_inputs(model: nn.Module, cond: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Noise and captions' vectors for a generator."""
    draw = torch.Generator().manual_seed(7)
    return torch.randn(batch, model.z_width, generator=draw), torch.randn(batch, cond, generator=draw)


def record_outputs(layer: nn.Module) -> list[Tensor]:
    """What the layer returns from now on, call by call."""
    outputs: list[Tensor] = []
    layer.register_forward_hook(lambda *call: outputs.append(call[2]))
    return outputs


def save_stirred(folder: Path, params: Params) -> Path:
    """A model folder with a generator that was never trained, of random weights, and ten words."""
    torch.manual_seed(1)
    words = [PAD_TOKEN, UNKNOWN_TOKEN, "a", "from", "left", "mug", "pushing", "right", "the", "to"]
    generator = stir(TextToVideo(params.clip, params.train, len(words)), 0.05)
    for encoder in filter(None, (generator.caption_encoder, generator.object_encoder)):
        encoder.words.embedding.weight.data[PAD_ID] = 0  # as training leaves it
    actions = ["pushing * from left to right", "pushing * from right to left"]
    vocabulary = {"words": words, "unlearned": 0, "actions": actions, "model": None, "lemmas": False}
    sections = {"clip": params.clip.model_dump(), "train": params.train.model_dump()}
    save_model(folder, generator, None, {**sections, "max_tokens": 8, "vocabulary": vocabulary})
    return folder
