"""The two networks of a run, each with a caption encoder of its own, built from params."""

import torch
from torch import Tensor, nn

from pipeline.models.captions import GruCaptionEncoder
from pipeline.models.discriminators import ProjectionDiscriminator
from pipeline.models.generators import ResidualGenerator
from pipeline.params import ClipParams, TrainParams


class TextToVideo(nn.Module):
    """Noise z [B,Z], token ids [B,L] -> frames [B,3,T,H,W] in [-1,1], with channels_last_3d strides."""

    def __init__(self, shape: ClipParams, params: TrainParams, words: int) -> None:
        super().__init__()
        self.captions = GruCaptionEncoder(words, params.caption_width)
        self.generator = ResidualGenerator(shape, params.generator, params.caption_width)
        self.z_width = self.generator.z_width

    def forward(self, z: Tensor, token_ids: Tensor) -> Tensor:
        frames: Tensor = self.generator(z, self.captions(token_ids))
        return frames.contiguous(memory_format=torch.channels_last_3d)


class CaptionedDiscriminator(nn.Module):
    """Frames [B,3,T,H,W] in [-1,1], token ids [B,L] -> logits [B]; `captions` and `clips` may be called apart."""

    def __init__(self, shape: ClipParams, params: TrainParams, words: int) -> None:
        super().__init__()
        self.captions = GruCaptionEncoder(words, params.caption_width)
        self.clips = ProjectionDiscriminator(shape, params.discriminator, params.caption_width)

    def forward(self, frames: Tensor, token_ids: Tensor) -> Tensor:
        logits: Tensor = self.clips(frames, self.captions(token_ids))
        return logits
