"""The residual generator: noise and a caption's vector -> RGBA image layers, each moved and scaled over time."""

import itertools
import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.layers import (
    CURVE_KNOTS,
    ResidualBlock,
    activate,
    change_colours,
    conv,
    in_float32,
    in_frames,
    linear,
    opponent_colours,
    rectify,
    smooth_curves,
    unfold,
)
from pipeline.models.networks import ALL_FRAMES, Generator
from pipeline.models.poses import CANVAS_SCALE, POSE, Camera, PoseHead, transform
from pipeline.params import ClipParams, ResidualParams, count_doublings

# Objects are drawn in the middle of their layers, which fade to transparent over this width outside of it. Layers that
# could use all of their image held two objects side by side, one for each direction, and moved to show one of them. Of
# an object seen in one direction only, one of the two had learned nothing.
FADE_WIDTH = 0.2

# Subtracted from the logit of a layer's alpha: untrained layers are transparent, object layers less so than others. A
# layer that was as visible as they drew an average object for one of two directions, and the object layer left.
OBJECT_ALPHA_BIAS, OTHER_ALPHA_BIAS = 1.0, 3.0

# What is drawn are lightness and opponent colours, a third as strong: in video, colours vary less than lightness.
# Networks that drew red, green and blue spread coloured specks over what is grey. The mean square of RGB is the same.
LIGHTNESS = math.sqrt(27 / 11)
HUE = LIGHTNESS / 3

LAYER_DENSITY = 2  # pixels of a layer, or of a background under a camera, in one of the frame, along each side
TAIL_WIDTH = 16  # channels at full resolution


class ImageDecoder(nn.Module):
    """A code per clip [B,K] -> an unbounded image with any number of channels [B,C,H,W].

    With `dense`, it has LAYER_DENSITY times the height and width, [B,C,2H,2W]: details, 0 at first, are added to the
    enlarged image, so that shapes are learned as fast as without. Karras et al. 2020 (StyleGAN2), arXiv:1912.04958.
    """

    def __init__(self, shape: ClipParams, channels: int, code: int, width: int, *, dense: bool = False) -> None:
        super().__init__()
        doublings = count_doublings(shape)
        self.height, self.width = shape.height >> doublings, shape.width >> doublings
        widths = [min(width << (doublings - i), 4 * width) for i in range(doublings + 1)]
        self.channels = widths[0]
        self.start = linear(code, widths[0] * self.height * self.width)
        self.stages = nn.ModuleList(ResidualBlock(count, code=code, temporal=False) for count in widths)
        self.narrow = nn.ModuleList(conv(a, b, (1, 1, 1)) for a, b in itertools.pairwise(widths))
        self.last = conv(widths[-1], channels, (1, 3, 3), scale=0.5, rectified=True)
        self.to_detail = conv(widths[-1], TAIL_WIDTH, (1, 1, 1)) if dense else None
        self.detail = conv(TAIL_WIDTH, channels, (1, 3, 3), scale=0.0, rectified=True) if dense else None

    def forward(self, code: Tensor) -> Tensor:
        x = self.start(code).view(-1, 1, self.height, self.width, self.channels).permute(0, 4, 1, 2, 3)  # [B,C,1,h,w]
        for index, stage in enumerate(self.stages):
            x = stage(x, code[:, None])
            if index < len(self.narrow):
                x = enlarge(self.narrow[index](x))
        image: Tensor = self.last(rectify(x))
        if self.to_detail is not None and self.detail is not None:
            image = enlarge(image) + self.detail(rectify(enlarge(self.to_detail(x))))
        return image.squeeze(2)


def enlarge(x: Tensor) -> Tensor:
    """Bilinear upsampling [B,C,T,H,W] -> [B,C,T,2H,2W]; with nearest neighbours, blocks would be visible."""
    return in_frames(partial(F.interpolate, scale_factor=2, mode="bilinear", align_corners=False), x)


def split_layers(image: Tensor, alpha_bias: float, window: Tensor | None = None) -> Tensor:
    """An unbounded image [B,4N,H,W] -> RGBA layers [B,N,4,H,W]: colours, still unbounded, and alpha in [0,1].

    Colours are not bounded by tanh, since it has no gradient far out: colours that once got there stayed pure red,
    green or blue. Alpha is multiplied by the `window` [H,W].
    """
    layers = image.reshape(image.shape[0], -1, 4, *image.shape[2:])
    alpha = torch.sigmoid(layers[:, :, 3:] - alpha_bias)
    return torch.cat((layers[:, :, :3], alpha if window is None else alpha * window.to(alpha.dtype)), dim=2)


def build_window(shape: ClipParams, extent: float) -> Tensor:
    """1 in the middle of an image, up to `extent` of the way to its border, then fading to 0 over FADE_WIDTH: [H,W]."""

    def fade(side: int) -> Tensor:
        distance = ((torch.arange(side) + 0.5) * (2 / side) - 1).abs()
        return ((extent + FADE_WIDTH - distance) / FADE_WIDTH).clamp(0, 1)

    return fade(shape.height)[:, None] * fade(shape.width)


def halve_chroma(images: Tensor) -> Tensor:
    """Opponent colours at half the resolution, enlarged again: [B,N,3 or 4,H,W] -> the same, lightness and alpha as is.

    In most video files colours have half the resolution of lightness (4:2:0).
    """
    lightness, colours, alpha = torch.tensor_split(images, (1, 3), dim=2)
    halved = F.avg_pool2d(colours.flatten(0, 1), kernel_size=2)
    smooth = F.interpolate(halved, scale_factor=2, mode="bilinear", align_corners=False)
    return torch.cat((lightness, smooth.view_as(colours), alpha), dim=2)


def compose(background: Tensor, layers: Tensor, poses: Tensor) -> Tensor:
    """Background [B,3,T or 1,H,W], layers [B,N,4,h,w], poses [B,T,N,POSE] -> frames [B,3,T,H,W], the last on top."""
    frames, (height, width) = background, background.shape[3:]
    # Premultiplied alpha: colours of transparent pixels must not bleed in when layers are resampled.
    colours, alpha = torch.split(layers, [3, 1], dim=2)
    for moved in transform(torch.cat((colours * alpha, alpha), dim=2), poses, (height, width)).unbind(1):
        above, cover = torch.split(moved, [3, 1], dim=1)
        frames = torch.addcmul(above, frames, 1 - cover)
    return frames.contiguous(memory_format=torch.channels_last_3d)


class ResidualGenerator(Generator):
    """Noise z [B,Z], cond [B,E] -> frames [B,3,T,H,W], about [-1,1]: only the discriminator bounds colours.

    Content noise is constant over a clip; motion noise is a few smooth curves over time, since independent noise per
    frame would be flicker: Tulyakov et al. 2018 (MoCoGAN), arXiv:1707.04993. The caption is part of the code of every
    step, which modulates every block.

    Image layers are moved over a background, which is static or seen by a moving camera. An optional space-time volume,
    blended in by a mask, covers both and draws what changes its shape. The background depends on the noise alone:
    conditioned on the caption, it became the same for each caption and hardly used the noise.

    With `object_cond` and `action_cond`, both [B,E], object layers are conditioned on the former, and the other layers,
    hands above all, and the motion of all layers on the latter. So an object keeps its layer and its appearance in a
    motion that it was never seen in. Its appearance includes an offset in position and size, constant over the clip.
    All else is conditioned on `cond`.

    With a `motion_penalty`, that times the total variation of the poses over the frames is added to the loss, so that
    layers rest unless the discriminator asks for motion. Rudin, Osher, Fatemi 1992, doi:10.1016/0167-2789(92)90242-F.
    """

    to_rgb: Tensor

    def __init__(self, shape: ClipParams, params: ResidualParams, cond: int) -> None:
        super().__init__()
        self.content, self.curves = params.content_width, params.motion_width
        self.z_width = self.content + self.curves * CURVE_KNOTS
        self.register_buffer("to_rgb", opponent_colours(LIGHTNESS, HUE))
        self.time = 2 if shape.frames % 2 == 0 else 1  # frames per step inside the network
        self.frames = shape.frames
        self.motion_penalty = params.motion_penalty
        self.half_chroma = params.chroma == "half"
        code = params.code_width
        self.step_encoder = StepEncoder(self.content + self.curves + cond, code)
        self.object_code, self.other_code = linear(self.content + cond, code), linear(self.content + cond, code)
        self.background_code = linear(self.content, code)
        half = max(params.still_width // 2, 1)
        self.object_layers = ImageDecoder(shape, 4 * params.object_layers, code, params.still_width, dense=True)
        others = params.layers - params.object_layers
        self.other_layers = ImageDecoder(shape, 4 * others, code, half, dense=True) if others else None
        moving = params.background != "still"
        canvas = _enlarge(shape, CANVAS_SCALE) if moving else shape
        self.background = ImageDecoder(canvas, 3, code, half, dense=moving)
        self.camera = Camera(shape, code, warped=params.background == "warped") if moving else None
        layer = _enlarge(shape, LAYER_DENSITY)
        window = None if params.object_extent >= 1 else build_window(layer, params.object_extent)
        unshrunk = 0 if window is None else params.object_layers
        self.pose_head = PoseHead(code, params.layers, unshrunk)
        self.register_buffer("window", window, persistent=False)
        self.object_pose_offset = linear(code, params.object_layers * POSE, scale=0.0)
        self.volume = Volume(shape, params.volume_width, code, self.time) if params.volume_width else None

    window: Tensor | None
    draws_chosen_frames = True

    @classmethod
    def separates_objects(cls, params: ResidualParams) -> bool:
        return params.conditioning == "factorised"

    def forward(
        self,
        z: Tensor,
        cond: Tensor,
        object_cond: Tensor | None = None,
        action_cond: Tensor | None = None,
        frames: slice = ALL_FRAMES,
    ) -> Tensor:
        content, knots = z[:, : self.content], z[:, self.content :]
        knots = knots.reshape(-1, self.curves, CURVE_KNOTS)
        object_cond = cond if object_cond is None else object_cond
        action_cond = cond if action_cond is None else action_cond
        object_code = activate(self.object_code(torch.cat((content, object_cond), dim=1)))
        with in_float32(z):  # positions in bf16 would jitter
            code = self._encode_steps(content, action_cond, knots, self.frames)[:, frames]  # [B,T,K]
            poses = self.pose_head.bound(self._add_offset(self.pose_head(code), object_code))
            if self.training and self.motion_penalty:
                self.regulariser = self.motion_penalty * poses.diff(dim=1).abs().sum((1, 3)).mean()
        layers = split_layers(self.object_layers(object_code), OBJECT_ALPHA_BIAS, self.window)  # [B,N,4,H,W]
        if self.other_layers is not None:
            other_code = activate(self.other_code(torch.cat((content, action_cond), dim=1)))
            layers = torch.cat((layers, split_layers(self.other_layers(other_code), OTHER_ALPHA_BIAS)), dim=1)
        background = self.background(activate(self.background_code(content)))  # [B,3,H,W], or larger under a camera
        if self.half_chroma:
            layers, background = halve_chroma(layers), halve_chroma(background[:, None])[:, 0]
        with in_float32(z):
            background = background.to(poses.dtype)
            seen = background[:, :, None] if self.camera is None else self.camera(code, background)
            clip = change_colours(compose(seen, layers.to(poses.dtype), poses), self.to_rgb)  # [B,3,T,H,W]
        if self.volume is None:
            return clip
        with in_float32(z):  # the volume draws both objects and actions
            code = self._encode_steps(content, cond, knots, self.frames // self.time)
        volume = self.volume(code)[:, :, frames].to(clip.dtype)
        with in_float32(z):
            colours = torch.tanh(change_colours(volume[:, :3], self.to_rgb))
        return torch.lerp(clip, colours, torch.sigmoid(volume[:, 3:] - 1))

    def _add_offset(self, poses: Tensor, object_code: Tensor) -> Tensor:
        """Poses [B,T,N,POSE], those of object layers plus a constant offset predicted from their code [B,K]."""
        offset = self.object_pose_offset(object_code.to(poses.dtype)).unflatten(1, (1, -1, POSE)) * self.pose_head.rate
        return poses + F.pad(offset, (0, 0, 0, poses.shape[2] - offset.shape[2]))

    def _encode_steps(self, content: Tensor, cond: Tensor, knots: Tensor, steps: int) -> Tensor:
        """Content [B,C], a caption's vector [B,E], knots of curves [B,M,K] -> the code of each of S steps [B,S,K]."""
        constant = torch.cat((content, cond), dim=1)
        curves = smooth_curves(knots, steps)
        code: Tensor = self.step_encoder(torch.cat((constant[:, None].expand(-1, steps, -1), curves), dim=2))
        return code


def _enlarge(shape: ClipParams, times: int) -> ClipParams:
    return shape.model_copy(update={"height": times * shape.height, "width": times * shape.width})


class Volume(nn.Module):
    """Codes of the steps [B,S,K] -> opponent colours and the logit of a mask, all unbounded: [B,4,T,H,W]."""

    def __init__(self, shape: ClipParams, width: int, code: int, time: int) -> None:
        super().__init__()
        doublings, self.time = count_doublings(shape), time
        self.height, self.width = shape.height >> doublings, shape.width >> doublings
        # Half as many pixels on a side, twice as many channels, with a limit where there are few pixels.
        channels = [min(width << (doublings - 1 - i), 4 * width) for i in range(doublings)]
        self.start = linear(code, channels[0] * self.height * self.width)
        self.stages = nn.ModuleList(ResidualBlock(count, code=code) for count in channels)
        self.narrow = nn.ModuleList(conv(a, b, (1, 1, 1)) for a, b in itertools.pairwise(channels))
        self.spread = conv(channels[-1], TAIL_WIDTH * time, (1, 1, 1), rectified=True)
        self.smooth = ResidualBlock(TAIL_WIDTH)  # over time as well: the frames of a step are spread from one value
        self.last = conv(TAIL_WIDTH, 4, (1, 3, 3), scale=0.5, rectified=True)

    def forward(self, code: Tensor) -> Tensor:
        x = self.start(code).unflatten(2, (self.height, self.width, -1)).permute(0, 4, 1, 2, 3)  # [B,C,S,h,w]
        for index, stage in enumerate(self.stages):
            x = stage(x, code)
            if index < len(self.narrow):
                x = enlarge(self.narrow[index](x))
        x = enlarge(unfold(self.spread(rectify(x)), (self.time, 1, 1)))  # [B,16,T,H,W]
        drawn: Tensor = self.last(rectify(self.smooth(x)))
        return drawn


class StepEncoder(nn.Module):
    """Features of each step [B,S,F] -> its code [B,S,K]; a position encoding over time is added."""

    def __init__(self, features: int, code: int) -> None:
        super().__init__()
        self.time = linear(2 * CURVE_KNOTS, code)
        self.first, self.second, self.third = linear(features, code), linear(code, code), linear(code, code)

    def forward(self, features: Tensor) -> Tensor:
        steps = torch.linspace(0, 1, features.shape[1], device=features.device, dtype=features.dtype)
        waves = steps[:, None] * math.pi * torch.arange(1, CURVE_KNOTS + 1, device=features.device) / 2
        x = self.first(features) + self.time(torch.cat((waves.sin(), waves.cos()), dim=1))
        x = self.second(activate(x))
        code: Tensor = activate(self.third(activate(x)))
        return code
