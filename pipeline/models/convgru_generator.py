"""The generator of the 2019 project, with its mistakes corrected: a GRU over codes, and ConvGRUs between blocks."""

import itertools

import torch
from torch import Tensor, nn

from pipeline.models.layers import (
    CURVE_KNOTS,
    ConditionalBatchNorm,
    Modulation,
    conv,
    linear,
    rectify,
    smooth_curves,
    upsample,
)
from pipeline.models.networks import Generator
from pipeline.params import ClipParams, ConvGruParams, count_doublings


class ConvGruGenerator(Generator):
    """Noise z [B,Z], cond [B,E] -> frames [B,3,T,H,W] in [-1,1].

    A GRU turns content, caption and smooth motion curves into a code per frame: Tulyakov et al. 2018, arXiv:1707.04993.
    Each frame is decoded from its code by residual blocks. A ConvGRU after each block (`frame_memory`) carries a state
    from frame to frame at every pixel: Ballas et al. 2016, arXiv:1511.06432; without it, frames depend on each other
    through their codes alone. With `caption_in_blocks`, content noise and caption also modulate every block.
    """

    def __init__(self, shape: ClipParams, params: ConvGruParams, cond: int) -> None:
        super().__init__()
        self.content, self.curves, self.frames = params.content_width, params.motion_width, shape.frames
        self.z_width = self.content + self.curves * CURVE_KNOTS
        self.direct = params.caption_in_blocks
        self.begin = linear(self.content + cond, params.code_width)
        self.recurrent = nn.GRU(self.curves + cond, params.code_width, batch_first=True)
        code = params.code_width + (self.content + cond if self.direct else 0)
        doublings = count_doublings(shape)
        self.height, self.width = shape.height >> doublings, shape.width >> doublings
        widths = [min(params.frame_width << (doublings - i), 4 * params.frame_width) for i in range(doublings + 1)]
        self.start = linear(code, widths[0] * self.height * self.width)
        self.stages = nn.ModuleList(FrameBlock(width, code, batch_norm=params.batch_norm) for width in widths)
        self.memories = nn.ModuleList(ConvGru(width) for width in widths[:-1] if params.frame_memory)
        self.narrow = nn.ModuleList(conv(a, b, (1, 1, 1)) for a, b in itertools.pairwise(widths))
        self.last = conv(widths[-1], 3, (1, 3, 3), scale=0.5, rectified=True)

    def forward(self, z: Tensor, cond: Tensor) -> Tensor:
        content, knots = z[:, : self.content], z[:, self.content :]
        curves = smooth_curves(knots.reshape(-1, self.curves, CURVE_KNOTS), self.frames)  # [B,T,M]
        still = torch.cat((content, cond), dim=1)
        inputs = torch.cat((curves, cond[:, None].expand(-1, self.frames, -1)), dim=2)
        code, _ = self.recurrent(inputs, torch.tanh(self.begin(still))[None])  # [B,T,K]
        if self.direct:
            code = torch.cat((code, still[:, None].expand(-1, self.frames, -1)), dim=2)
        x = self.start(code).unflatten(2, (self.height, self.width, -1)).permute(0, 4, 1, 2, 3)  # [B,C,T,h,w]
        for index, stage in enumerate(self.stages):
            x = stage(x, code)
            if index < len(self.memories):
                x = self.memories[index](x)
            if index < len(self.narrow):
                x = upsample(self.narrow[index](x))
        frames: Tensor = torch.tanh(self.last(rectify(x)))
        return frames


class FrameBlock(nn.Module):
    """x + two convolutions within each frame, modulated by its code: [B,C,T,H,W], [B,T,K] -> [B,C,T,H,W]."""

    def __init__(self, channels: int, code: int, *, batch_norm: bool) -> None:
        super().__init__()
        kind = ConditionalBatchNorm if batch_norm else Modulation
        self.norms = nn.ModuleList(kind(channels, code) for _ in range(2))
        self.first = conv(channels, channels, (1, 3, 3), rectified=True)
        self.second = conv(channels, channels, (1, 3, 3), scale=0.0, rectified=True)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        h = self.first(rectify(self.norms[0](x, code)))
        changed: Tensor = x + self.second(rectify(self.norms[1](h, code)))
        return changed


class ConvGru(nn.Module):
    """A convolutional GRU over time: frames [B,C,T,H,W] -> states [B,C,T,H,W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input_conv = conv(channels, 3 * channels, (1, 3, 3))
        self.gate_conv = conv(channels, 2 * channels, (1, 3, 3))
        self.candidate_conv = conv(channels, channels, (1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        state, states = torch.zeros_like(x[:, :, :1]), []
        for inputs in self.input_conv(x).split(1, dim=2):  # of all frames at once; [B,3C,1,H,W] each
            input_update, input_reset, input_new = inputs.chunk(3, dim=1)
            update, reset = self.gate_conv(state).chunk(2, dim=1)
            new = torch.tanh(input_new + self.candidate_conv(torch.sigmoid(input_reset + reset) * state))
            state = torch.lerp(state, new, torch.sigmoid(input_update + update))
            states.append(state)
        return torch.cat(states, dim=2)
