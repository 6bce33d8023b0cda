"""The two networks of a run, each with a caption encoder of its own, built from params."""

import torch
from torch import Tensor, nn

from pipeline.models.captions import caption_encoder
from pipeline.models.convgru import ConvGruGenerator
from pipeline.models.discriminators import build_discriminator
from pipeline.models.generators import ResidualGenerator
from pipeline.params import ClipParams, TrainParams

GENERATORS: dict[str, type[ResidualGenerator | ConvGruGenerator]] = {
    "residual": ResidualGenerator,
    "convgru": ConvGruGenerator,
}


class TextToVideo(nn.Module):
    """Noise z [B,Z], token ids [B,L] -> frames [B,3,T,H,W] in [-1,1], with channels_last_3d strides."""

    def __init__(self, shape: ClipParams, params: TrainParams, words: int, given: Tensor | None = None) -> None:
        super().__init__()
        self.captions = caption_encoder(params.captions, words, given)
        self.generator = GENERATORS[params.generator.kind](shape, params.generator, params.captions.width)
        self.z_width = self.generator.z_width

    def forward(self, z: Tensor, token_ids: Tensor, condition: float = 1.0) -> Tensor:
        """`condition` is how far the caption is let in: below 1 only while training begins."""
        frames: Tensor = self.generator(z, self.captions(token_ids) * condition)
        return frames.contiguous(memory_format=torch.channels_last_3d)


class CaptionedDiscriminator(nn.Module):
    """Frames [B,3,T,H,W] in [-1,1], token ids [B,L] -> logits [B]; `captions` and `clips` may be called apart."""

    def __init__(self, shape: ClipParams, params: TrainParams, words: int, given: Tensor | None = None) -> None:
        super().__init__()
        self.captions = caption_encoder(params.captions, words, given)
        self.clips = build_discriminator(shape, params.discriminator, params.captions.width, params.group_clips)

    def forward(self, frames: Tensor, token_ids: Tensor) -> Tensor:
        logits: Tensor = self.clips(frames, self.captions(token_ids))
        return logits
