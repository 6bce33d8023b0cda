"""Discriminators, and permutation-equivariant layers that let them judge a group of clips, for mixed batches.

y_i = Theta x_i + Lambda mean_j(x_j) + b: Lucas et al. 2018, arXiv:1806.07185.
"""

import copy
import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.extensions import Signature, resolve
from pipeline.models.layers import (
    ResidualBlock,
    activate,
    change_colours,
    conv,
    downsample,
    in_float32,
    linear,
    normalise_weights,
    opponent_colours,
    rectify,
)
from pipeline.params import ClipParams, DiscriminatorParams, count_doublings

# Of what the discriminator sees: in video, opponent colours vary less than lightness.
LIGHTNESS, HUE = 0.85, 1.7


class Symmetric(nn.Module):
    """A permutation-equivariant layer on groups of rows [G*N,...]: the group's mean contributes to each row's output.

    Permuting the rows of a group permutes the output and changes nothing else.
    """

    def __init__(self, own: nn.Conv3d | nn.Linear, group: int) -> None:
        super().__init__()
        self.own, self.group = own, group
        self.common = copy.deepcopy(own)
        self.common.bias = None  # one is enough
        with torch.no_grad():  # equal variances whose sum is that of the layer; 0 if it starts at 0
            self.common.weight.copy_(torch.randn_like(own.weight) * own.weight.std() * math.sqrt(0.5))
            own.weight.mul_(math.sqrt(0.5))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.view(-1, self.group, *x.shape[1:]).mean(dim=1)  # [G,...]
        changed: Tensor = self.own(x) + self.common(mean).repeat_interleave(self.group, dim=0)
        return changed


def make_symmetric(model: nn.Module, group: int) -> None:
    """Replace every convolution and linear layer of `model` by a Symmetric one."""
    for name, child in list(model.named_children()):
        if isinstance(child, nn.Conv3d | nn.Linear):
            setattr(model, name, Symmetric(child, group))
        else:
            make_symmetric(child, group)


class Discriminator(nn.Module):
    """Scores clips: frames [B,3,T,H,W] in [-1,1], cond [B,E] -> raw logits [B]; losses own the sigmoid.

    Features and logits are float32, also under autocast. Subclasses are built with (shape, params, cond): the shape of
    the clips, the section train.discriminator, the width of the captions' vectors.
    """

    feature_width: int  # F, the number of features of a clip; set when it is built

    def extract_features(self, frames: Tensor) -> Tensor:
        """Features of the clips, independent of the caption: [B,3,T,H,W] -> [B,F]."""
        raise NotImplementedError

    def score(self, features: Tensor, cond: Tensor) -> Tensor:
        """Logits of clips with captions, from the clips' features: features [B,F], cond [B,E] -> [B]."""
        raise NotImplementedError

    def compute_logits(self, features: Tensor, cond: Tensor) -> Tensor:
        """`score` in float32. Raises UserError if it does not return one logit per clip."""
        with in_float32(features):
            logits = self.score(features, cond)
        if logits.dim() != 1:  # [B,1] would broadcast to [B,B] with weights [B]
            raise UserError(
                f"train.discriminator: {type(self).__name__} scores {list(logits.shape)}; it must be "
                "one logit for each clip, [B]"
            )
        return logits

    def forward(self, frames: Tensor, cond: Tensor) -> Tensor:
        return self.compute_logits(self.extract_features(frames), cond)


class Trunk(nn.Module):
    """Frames [B,3,T,H,W] -> a small feature volume [B,C,t,h,w].

    Residual stages, each at half the height and width of the one before. Temporal convolutions are part of every stage,
    or of a head after stages that process single frames.
    """

    def __init__(self, shape: ClipParams, params: DiscriminatorParams) -> None:
        super().__init__()
        throughout = params.time == "throughout" and shape.frames > 1
        time = 2 if throughout and shape.frames % 2 == 0 else 1
        layers = 2 if params.time == "head" and shape.frames > 1 else 0
        halvings = count_doublings(shape)
        channels = [min(params.width << i, 4 * params.width) for i in range(halvings)]
        # Overlapping patches: with adjacent ones, the gradient would draw their borders into the samples.
        self.stem = conv(3, channels[0], (time, 4, 4), stride=(time, 2, 2), padding=(0, 1, 1))
        self.stages = nn.ModuleList(ResidualBlock(width, temporal=throughout) for width in channels)
        self.widen = nn.ModuleList(conv(a, b, (1, 1, 1)) for a, b in itertools.pairwise(channels))
        steps, self.halve_time = shape.frames // time, []
        for _ in self.widen:
            self.halve_time.append(throughout and steps % 2 == 0 and steps > 4)
            steps //= 2 if self.halve_time[-1] else 1
        self.channels = channels[-1]
        self.volume = (steps, shape.height >> halvings, shape.width >> halvings)
        self.head = nn.ModuleList(conv(self.channels, self.channels, (3, 1, 1), rectified=True) for _ in range(layers))

    def forward(self, frames: Tensor) -> Tensor:
        x = self.stem(frames)
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index < len(self.widen):
                x = self.widen[index](downsample(x, time=self.halve_time[index]))
        for layer in self.head:
            x = layer(rectify(x))
        return activate(x)

    def build_pooling_weights(self) -> nn.Parameter:
        """Pooling weights, one per position and channel: unlike with a mean, position and time matter."""
        return nn.Parameter(torch.randn(1, self.channels, *self.volume) / math.sqrt(math.prod(self.volume)))


class ProjectionDiscriminator(Discriminator):
    """Inner product of features and caption: Miyato & Koyama 2018, arXiv:1802.05637.

    It sees opponent colours amplified: as RGB, clips differ so much more in lightness that it overlooks false colours.
    """

    from_rgb: Tensor

    def __init__(self, shape: ClipParams, params: DiscriminatorParams, cond: int) -> None:
        super().__init__()
        self.register_buffer("from_rgb", opponent_colours(LIGHTNESS, HUE).T)
        self.trunk = Trunk(shape, params)
        self.pool = self.trunk.build_pooling_weights()
        self.feature_width = self.trunk.channels
        self.features = linear(self.feature_width, self.feature_width)
        self.realness = linear(self.feature_width, 1)
        self.match = linear(cond, self.feature_width, bias=False)

    def extract_features(self, frames: Tensor) -> Tensor:
        with in_float32(frames):
            frames = change_colours(frames, self.from_rgb)
        pooled = (self.trunk(frames) * self.pool).sum(dim=(2, 3, 4))
        with in_float32(pooled):
            return activate(self.features(pooled))

    def score(self, features: Tensor, cond: Tensor) -> Tensor:
        fit = (self.match(cond) * features).sum(dim=1) / math.sqrt(features.shape[1])
        logits: Tensor = self.realness(features).squeeze(1) + fit
        return logits


class StackedDiscriminator(Discriminator):
    """The caption is concatenated to the features at every position: Reed et al. 2016, arXiv:1605.05396."""

    def __init__(self, shape: ClipParams, params: DiscriminatorParams, cond: int) -> None:
        super().__init__()
        self.trunk = Trunk(shape, params)
        self.pool = self.trunk.build_pooling_weights()
        self.channels = self.trunk.channels
        self.feature_width = self.channels * math.prod(self.trunk.volume)
        self.match = linear(cond, self.channels)
        self.join = conv(2 * self.channels, self.channels, (1, 1, 1))
        self.realness = linear(self.channels, 1)

    def extract_features(self, frames: Tensor) -> Tensor:
        features: Tensor = self.trunk(frames)
        return features.float().flatten(1)

    def score(self, features: Tensor, cond: Tensor) -> Tensor:
        positions = features.view(-1, self.channels, *self.trunk.volume)
        beside = self.match(cond)[:, :, None, None, None].expand_as(positions)
        x = activate(self.join(torch.cat((positions, beside), dim=1)))
        logits: Tensor = self.realness((x * self.pool).sum(dim=(2, 3, 4))).squeeze(1)
        return logits


class ClipsAndFrames(Discriminator):
    """The logit of the whole clip plus the mean logit of evenly spaced single frames, as in MoCoGAN, arXiv:1707.04993.

    A mean instead of a sum, so that the weight of the frames does not depend on their number.
    """

    def __init__(self, clips: Discriminator, frames: Discriminator, count: int) -> None:
        super().__init__()
        self.clips, self.frames, self.count = clips, frames, count
        self.feature_width = clips.feature_width + count * frames.feature_width

    def extract_features(self, frames: Tensor) -> Tensor:
        steps = frames.shape[2]
        each = frames.unbind(2)  # an index from a list would synchronise with the GPU
        chosen = torch.stack([each[step * steps // self.count] for step in range(self.count)], dim=1)  # [B,k,3,H,W]
        single = chosen.flatten(0, 1)[:, :, None]  # [B*k,3,1,H,W], clip after clip
        of_frames = self.frames.extract_features(single.contiguous(memory_format=torch.channels_last_3d))
        return torch.cat((self.clips.extract_features(frames), of_frames.reshape(len(frames), -1)), dim=1)

    def score(self, features: Tensor, cond: Tensor) -> Tensor:
        of_clips, of_frames = features[:, : self.clips.feature_width], features[:, self.clips.feature_width :]
        each = self.frames.score(
            of_frames.reshape(-1, self.frames.feature_width), cond.repeat_interleave(self.count, dim=0)
        )
        return self.clips.score(of_clips, cond) + each.view(-1, self.count).mean(dim=1)


def build_discriminator(shape: ClipParams, params: DiscriminatorParams, cond: int, group: int = 1) -> Discriminator:
    """The discriminator that params name; with a `group`, one that judges `group` clips together."""
    kind = find_discriminator(params)
    clips = kind(shape, params, cond)
    if group > 1:
        make_symmetric(clips, group)
    model: Discriminator = clips
    if params.frames:
        frames = kind(shape.model_copy(update={"frames": 1}), params, cond)
        if group > 1:
            make_symmetric(frames, group * params.frames)
        model = ClipsAndFrames(clips, frames, params.frames)
    if params.spectral_norm:
        normalise_weights(model)
    return model


BuildDiscriminator = Callable[[ClipParams, DiscriminatorParams, int], Discriminator]
DISCRIMINATORS: dict[str, BuildDiscriminator] = {
    "projection": ProjectionDiscriminator,
    "stacked": StackedDiscriminator,
}
DISCRIMINATOR = Signature(
    "a subclass of pipeline.models.discriminators:Discriminator",
    arguments=("shape", "params", "cond"),
    base=Discriminator,
    is_class=True,
)


def find_discriminator(params: DiscriminatorParams) -> BuildDiscriminator:
    """The class that train.discriminator.condition names. Raises UserError."""
    return resolve(params.condition, DISCRIMINATORS, "train.discriminator.condition", DISCRIMINATOR)
