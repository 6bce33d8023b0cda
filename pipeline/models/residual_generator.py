"""The residual generator: noise and a caption's vector -> still layers, each moved and scaled over time."""

import itertools
import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.layers import ResidualBlock, activate, conv, in_float32, in_frames, linear, rectify, unfold
from pipeline.models.networks import ALL_FRAMES, Generator
from pipeline.params import ClipParams, ResidualParams, count_doublings

PLACE = 4  # centre y, centre x, log scale y, log scale x; the frame reaches from -1 to 1
# How much slower a layer moves and grows than weights change. At full speed an early step of Adam threw layers out of
# the frame, or to wild scales that never settled.
MOVING, GROWING = 0.3, 0.1
# How far a layer may be from the middle, and the logarithm of its scale from 0; near that its gradient falls, but never
# to nothing. Out of the frame nothing tells a layer the way back. And pictures of objects would shrink to what most of
# them fill: all would have straight sides, and tall ones be cut off.
FARTHEST, SMALLEST = 1.5, 0.7
# The same of the scale of object layers, downwards: they shrank early, and what they show of their picture with them.
SHRINKING = 0.1
# Objects are drawn in the middle of their layers, which fade to nothing within so much outside of it. Layers that were
# free to use all of their picture held an object for each direction, side by side, and moved so that one was seen. Of
# an object that was only seen in one direction, only one of the two had learned anything.
FADING = 0.2

# How clear layers are before they learn anything, as what is taken from the logit of their alpha. Those of objects show
# first: another layer that was as early drew an average object for one of two directions, and theirs left the frame.
OBJECTS_CLEAR, OTHERS_CLEAR = 1.0, 3.0

CURVE_KNOTS = 4  # values that a smooth motion curve runs through
LARGER = 2  # sides of a background that the camera moves over, to those of the frame
FLOW_KNOTS = 4  # on each side of the grid that a flow is smooth between
BENDING = 0.1  # how much slower a flow changes than weights do
TAIL = 16  # channels at full resolution


class Still(nn.Module):
    """A code per clip [B,K] -> a picture of any number of channels, without bounds: [B,C,H,W]."""

    def __init__(self, shape: ClipParams, channels: int, code: int, width: int) -> None:
        super().__init__()
        doublings = count_doublings(shape)
        self.height, self.width = shape.height >> doublings, shape.width >> doublings
        widths = [min(width << (doublings - i), 4 * width) for i in range(doublings + 1)]
        self.channels = widths[0]
        self.start = linear(code, widths[0] * self.height * self.width)
        self.stages = nn.ModuleList(ResidualBlock(count, code=code, temporal=False) for count in widths)
        self.narrow = nn.ModuleList(conv(a, b, (1, 1, 1)) for a, b in itertools.pairwise(widths))
        self.last = conv(widths[-1], channels, (1, 3, 3), scale=0.5, rectified=True)

    def forward(self, code: Tensor) -> Tensor:
        x = self.start(code).view(-1, 1, self.height, self.width, self.channels).permute(0, 4, 1, 2, 3)  # [B,C,1,h,w]
        for place, stage in enumerate(self.stages):
            x = stage(x, code[:, None])
            if place < len(self.narrow):
                x = enlarge(self.narrow[place](x))
        picture: Tensor = self.last(rectify(x)).squeeze(2)
        return picture


def enlarge(x: Tensor) -> Tensor:
    """Twice the height and width, bilinear: repeated pixels would show as blocks. [B,C,T,H,W] -> [B,C,T,2H,2W]."""
    return in_frames(partial(F.interpolate, scale_factor=2, mode="bilinear", align_corners=False), x)


def split_layers(picture: Tensor, clear: float, window: Tensor | None = None) -> Tensor:
    """A picture without bounds [B,4N,H,W] -> layers [B,N,4,H,W]: colours, still without bounds, then alpha in [0,1].

    A bound such as tanh has no gradient far out: colours that once got there stayed, as pure red, green and blue. Alpha
    is multiplied by the `window` [H,W].
    """
    layers = picture.reshape(picture.shape[0], -1, 4, *picture.shape[2:])
    alpha = torch.sigmoid(layers[:, :, 3:] - clear)
    return torch.cat((layers[:, :, :3], alpha if window is None else alpha * window.to(alpha.dtype)), dim=2)


def build_window(shape: ClipParams, extent: float) -> Tensor:
    """1 in the middle of a picture up to `extent` of the way to its border, fading to 0 within FADING of it: [H,W]."""

    def fade(side: int) -> Tensor:
        far = ((torch.arange(side) + 0.5) * (2 / side) - 1).abs()
        return ((extent + FADING - far) / FADING).clamp(0, 1)

    return fade(shape.height)[:, None] * fade(shape.width)


class Placement(nn.Module):
    """Codes of the steps [B,S,K] -> where each layer is in each frame: [B,T,N,PLACE], before `bound`.

    The first `full` layers are hardly smaller than the frame.
    """

    pace: Tensor
    reach: Tensor
    reach_below: Tensor

    def __init__(self, code: int, layers: int, frames: int, full: int = 0) -> None:
        super().__init__()
        self.count, self.frames = layers, frames
        self.places = linear(code, layers * PLACE, scale=0.6)
        self.register_buffer("pace", torch.tensor([MOVING, MOVING, GROWING, GROWING]), persistent=False)
        self.register_buffer("reach", torch.tensor([FARTHEST, FARTHEST, SMALLEST, SMALLEST]), persistent=False)
        below = self.reach.repeat(layers, 1)
        below[:full, 2:] = SHRINKING
        # Saved where it differs, so that models without it, whose layers did shrink, are refused and not drawn wrongly.
        self.register_buffer("reach_below", below, persistent=full > 0)

    def forward(self, code: Tensor) -> Tensor:
        places = F.interpolate(self.places(code).transpose(1, 2), self.frames, mode="linear", align_corners=False)
        places = places.transpose(1, 2).reshape(-1, self.frames, self.count, PLACE)
        return places * self.pace

    def bound(self, places: Tensor) -> Tensor:
        """Places [...,N,PLACE] without bounds -> within their reach, hardly changed about the middle."""
        return places / (1 + places.abs() / torch.where(places < 0, self.reach_below, self.reach))


def compose(background: Tensor, layers: Tensor, places: Tensor) -> Tensor:
    """Background [B,3,T or 1,H,W], layers [B,N,4,H,W], places [B,T,N,PLACE] -> frames [B,3,T,H,W], the last on top."""
    frames = background
    # Colours are multiplied by alpha before they are moved, so that none bleeds in from transparent pixels.
    colours, alpha = torch.split(layers, [3, 1], dim=2)
    for moved in move(torch.cat((colours * alpha, alpha), dim=2), places).unbind(1):
        above, cover = torch.split(moved, [3, 1], dim=1)
        frames = torch.addcmul(above, frames, 1 - cover)
    return frames.contiguous(memory_format=torch.channels_last_3d)


def move(layers: Tensor, places: Tensor, sides: tuple[int, int] | None = None) -> Tensor:
    """Layers [B,N,C,H,W] at places [B,T,N,PLACE] -> [B,N,C,T,H,W], bilinear, zero where a layer does not reach.

    Pictures that are larger than frames of these `sides` go on beyond their border as their outermost pixels.
    As two matrix products rather than `grid_sample`, whose gradient is not deterministic on a GPU; their results lie in
    memory as T,H,C,W, so that none has to be reordered.
    """
    batch, count, channels, tall, wide = layers.shape
    height, width = sides or (tall, wide)
    places = places.transpose(1, 2).contiguous()
    rows = _weights(height, places[..., 0], places[..., 2], sides and tall)  # [B,N,T,H,h]
    columns = _weights(width, places[..., 1], places[..., 3], sides and wide)  # [B,N,T,W,w]
    lines = layers.transpose(2, 3).reshape(batch * count, tall, channels * wide)
    stretched = rows.view(batch * count, -1, tall) @ lines  # [B*N,T*H,C*w]
    moved = stretched.view(-1, height * channels, wide) @ columns.view(-1, width, wide).mT  # [B*N*T,H*C,W]
    return moved.view(batch, count, -1, height, channels, width).permute(0, 1, 4, 2, 3, 5)


class Camera(nn.Module):
    """Codes of the steps [B,S,K] and a picture [B,3,2H,2W] -> what a camera sees of it: frames [B,3,T,H,W].

    The camera pans and zooms, and with `warped` a smooth flow bends what it sees: near things pass faster than far.
    Beyond its border the picture goes on as its outermost pixels.
    """

    def __init__(self, shape: ClipParams, code: int, *, warped: bool) -> None:
        super().__init__()
        self.frames, self.sides = shape.frames, (shape.height, shape.width)
        self.placement = Placement(code, 1, shape.frames)
        self.flow = linear(code, 2 * FLOW_KNOTS**2, scale=0.0) if warped else None

    def forward(self, code: Tensor, picture: Tensor, chosen: slice = ALL_FRAMES) -> Tensor:
        places = self.placement.bound(self.placement(code)[:, chosen])  # [B,T,1,PLACE]
        if self.flow is None:
            return move(picture[:, None], places, self.sides)[:, 0]
        knots = self.flow(code).transpose(1, 2)  # [B,2*K*K,S]
        knots = F.interpolate(knots, self.frames, mode="linear", align_corners=False) * BENDING
        flow = knots.transpose(1, 2)[:, chosen].reshape(-1, 2, FLOW_KNOTS, FLOW_KNOTS)
        flow = F.interpolate(flow, self.sides, mode="bicubic", align_corners=True)  # [B*T,2,H,W]
        return warp(picture, places[:, :, 0], flow, self.sides)


def warp(picture: Tensor, places: Tensor, flow: Tensor, sides: tuple[int, int]) -> Tensor:
    """A picture [B,3,LARGER*H,LARGER*W] whose centre lies at places [B,T,PLACE] -> frames [B,3,T,H,W], bilinear.

    Each pixel of a frame is taken from elsewhere by flow [B*T,2,H,W], down and right in halves of the frame. The
    gradient of `grid_sample` is not deterministic on a GPU.
    """
    batch, frames = places.shape[:2]
    down, right = (torch.arange(side, device=flow.device, dtype=flow.dtype) for side in sides)
    down, right = (2 * (down + 0.5) / sides[0] - 1)[:, None], 2 * (right + 0.5) / sides[1] - 1
    centre_y, centre_x, log_y, log_x = (part[..., None] for part in places.reshape(-1, PLACE, 1).unbind(1))
    y = (down + flow[:, 0] - centre_y) * torch.exp(-log_y) / LARGER
    x = (right + flow[:, 1] - centre_x) * torch.exp(-log_x) / LARGER
    pictures = picture[:, None].expand(-1, frames, -1, -1, -1).flatten(0, 1)
    grid = torch.stack((x, y), dim=-1)
    seen = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return seen.view(batch, frames, -1, *sides).transpose(1, 2)


def _weights(side: int, centre: Tensor, log_scale: Tensor, larger: int | None = None) -> Tensor:
    """How much of each pixel of a picture is in each of the frame, along one side: [B,T] each -> [B,T,side,side].

    A picture of a `larger` side, [B,T,side,larger], goes on beyond its border; any other ends there.
    """
    length = side if larger is None else larger
    pixels = torch.arange(length, device=centre.device, dtype=centre.dtype)
    frame = torch.arange(side, device=centre.device, dtype=centre.dtype)
    places = (frame + 0.5) * (2 / side) - 1  # middles of the frame's pixels in [-1,1]
    shrinking = torch.exp(-log_scale[..., None])  # pixels of the picture to one of the frame
    source = ((places - centre[..., None]) * shrinking + length / side) * (side / 2) - 0.5  # [B,T,side]: in the picture
    # One sample of a picture that is shrunk would pass over pixels, and edges would be jagged. The mean of two, by the
    # rule of Gauss, stands for that of all between; of a picture that is not shrunk both are the same.
    aside = (shrinking - 1).clamp(min=0) / math.sqrt(12)
    samples = [source - aside, source + aside]
    if larger is not None:
        samples = [places.clamp(0, length - 1) for places in samples]
    near, far = (_weigh_bilinearly(places, pixels) for places in samples)
    return (near + far) / 2


def _weigh_bilinearly(source: Tensor, pixels: Tensor) -> Tensor:
    """How near each place is to each pixel, 1 at it and 0 from the next on: [B,T,side] -> [B,T,side,side]."""
    return (1 - (source[..., None] - pixels).abs()).clamp(min=0)


class ResidualGenerator(Generator):
    """Noise z [B,Z], cond [B,E] -> frames [B,3,T,H,W], about [-1,1]: only the discriminator bounds colours.

    Content noise is fixed for the clip, motion noise is a few smooth curves over time (noise drawn anew for each
    frame would be flicker); the caption enters the code of every step, and that code every block. Content and motion:
    Tulyakov et al. 2018 (MoCoGAN), arXiv:1707.04993. Layers are moved over a background, which is still or seen by a
    camera that moves, and a volume of space and time, with a mask, over both: it draws what changes its shape. The
    background depends on the noise alone: conditioned on the caption, it became the same for each caption and hardly
    used the noise. Where they are given, the layers that hold objects are conditioned on `object_cond` [B,E], and the
    other layers, hands above all, and the motion of all layers on `action_cond` [B,E]: so an object keeps to its layer
    and to its looks in a motion that it was never seen in. An offset in place and size, constant over the clip, is a
    part of its looks. All else is conditioned on `cond`.
    """

    def __init__(self, shape: ClipParams, params: ResidualParams, cond: int) -> None:
        super().__init__()
        self.content, self.curves = params.content_width, params.motion_width
        self.z_width = self.content + self.curves * CURVE_KNOTS
        self.time = 2 if shape.frames % 2 == 0 else 1  # frames per step inside the network
        self.steps = shape.frames // self.time
        code = params.code_width
        self.code = FrameCode(self.content + self.curves + cond, code)
        self.look, self.helping = linear(self.content + cond, code), linear(self.content + cond, code)
        self.setting = linear(self.content, code)
        half = max(params.still_width // 2, 1)
        self.layers = Still(shape, 4 * params.object_layers, code, params.still_width)
        others = params.layers - params.object_layers
        self.helpers = Still(shape, 4 * others, code, half) if others else None
        moving = params.background != "still"
        self.background = Still(_enlarge_shape(shape) if moving else shape, 3, code, half)
        self.camera = Camera(shape, code, warped=params.background == "warped") if moving else None
        window = None if params.object_extent >= 1 else build_window(shape, params.object_extent)
        full = 0 if window is None else params.object_layers
        self.placement = Placement(code, params.layers, shape.frames, full)
        self.register_buffer("window", window, persistent=False)
        self.offset = linear(code, params.object_layers * PLACE, scale=0.0)
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
        curves = smooth_curves(knots.reshape(-1, self.curves, CURVE_KNOTS), self.steps)  # [B,S,M]
        object_cond = cond if object_cond is None else object_cond
        action_cond = cond if action_cond is None else action_cond
        look = activate(self.look(torch.cat((content, object_cond), dim=1)))
        with in_float32(z):  # a rounded place would tremble
            code = self._encode_steps(content, action_cond, curves)  # [B,S,K]
            places = self.placement.bound(self._add_offset(self.placement(code)[:, frames], look))
        layers = split_layers(self.layers(look), OBJECTS_CLEAR, self.window)  # [B,N,4,H,W]
        if self.helpers is not None:
            helping = self.helping(torch.cat((content, action_cond), dim=1))
            layers = torch.cat((layers, split_layers(self.helpers(activate(helping)), OTHERS_CLEAR)), dim=1)
        background = self.background(activate(self.setting(content)))  # [B,3,H,W], or larger under a camera
        with in_float32(z):
            background = background.to(places.dtype)
            seen = background[:, :, None] if self.camera is None else self.camera(code, background, frames)
            clip = compose(seen, layers.to(places.dtype), places)  # [B,3,T,H,W]
        if self.volume is None:
            return clip
        if action_cond is not cond:  # what it draws is objects and actions
            with in_float32(z):
                code = self._encode_steps(content, cond, curves)
        colours, mask = self.volume(code)
        return torch.lerp(clip, colours[:, :, frames].to(clip.dtype), mask[:, :, frames].to(clip.dtype))

    def _add_offset(self, places: Tensor, look: Tensor) -> Tensor:
        """Places [B,T,N,PLACE], object layers with a constant offset in place and size, by their look [B,K]."""
        offset = self.offset(look.to(places.dtype)).unflatten(1, (1, -1, PLACE)) * self.placement.pace
        return places + F.pad(offset, (0, 0, 0, places.shape[2] - offset.shape[2]))

    def _encode_steps(self, content: Tensor, cond: Tensor, curves: Tensor) -> Tensor:
        """Content [B,C], a caption's vector [B,E] and curves [B,S,M] -> the code of each step [B,S,K]."""
        still = torch.cat((content, cond), dim=1)
        code: Tensor = self.code(torch.cat((still[:, None].expand(-1, self.steps, -1), curves), dim=2))
        return code


def _enlarge_shape(shape: ClipParams) -> ClipParams:
    return shape.model_copy(update={"height": LARGER * shape.height, "width": LARGER * shape.width})


class Volume(nn.Module):
    """Codes of the steps [B,S,K] -> colours [B,3,T,H,W] in [-1,1] and a mask [B,1,T,H,W] in [0,1]."""

    def __init__(self, shape: ClipParams, width: int, code: int, time: int) -> None:
        super().__init__()
        doublings, self.time = count_doublings(shape), time
        self.height, self.width = shape.height >> doublings, shape.width >> doublings
        # Half as many pixels on a side, twice as many channels, with a limit where there are few pixels.
        channels = [min(width << (doublings - 1 - i), 4 * width) for i in range(doublings)]
        self.start = linear(code, channels[0] * self.height * self.width)
        self.stages = nn.ModuleList(ResidualBlock(count, code=code) for count in channels)
        self.narrow = nn.ModuleList(conv(a, b, (1, 1, 1)) for a, b in itertools.pairwise(channels))
        self.spread = conv(channels[-1], TAIL * time, (1, 1, 1), rectified=True)
        self.smooth = ResidualBlock(TAIL)  # over time as well: the frames of a step are spread from one value
        self.last = conv(TAIL, 4, (1, 3, 3), scale=0.5, rectified=True)

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        x = self.start(code).unflatten(2, (self.height, self.width, -1)).permute(0, 4, 1, 2, 3)  # [B,C,S,h,w]
        for place, stage in enumerate(self.stages):
            x = stage(x, code)
            if place < len(self.narrow):
                x = enlarge(self.narrow[place](x))
        x = enlarge(unfold(self.spread(rectify(x)), (self.time, 1, 1)))  # [B,16,T,H,W]
        x = self.last(rectify(self.smooth(x)))
        return torch.tanh(x[:, :3]), torch.sigmoid(x[:, 3:] - 1)


class FrameCode(nn.Module):
    """Features of each step [B,S,F] -> its code [B,S,K]; the step's place in time is added to the features."""

    def __init__(self, features: int, code: int) -> None:
        super().__init__()
        self.place = linear(2 * CURVE_KNOTS, code)
        self.first, self.second, self.third = linear(features, code), linear(code, code), linear(code, code)

    def forward(self, features: Tensor) -> Tensor:
        steps = torch.linspace(0, 1, features.shape[1], device=features.device, dtype=features.dtype)
        waves = steps[:, None] * math.pi * torch.arange(1, CURVE_KNOTS + 1, device=features.device) / 2
        x = self.first(features) + self.place(torch.cat((waves.sin(), waves.cos()), dim=1))
        x = self.second(activate(x))
        code: Tensor = activate(self.third(activate(x)))
        return code


def smooth_curves(knots: Tensor, steps: int) -> Tensor:
    """Curves through evenly spaced knots, eased by a raised cosine: knots [B,M,K] -> [B,steps,M]."""
    places = torch.linspace(0, knots.shape[2] - 1, steps, device=knots.device, dtype=knots.dtype)
    left = places.floor().long().clamp(max=knots.shape[2] - 2)
    ease = (1 - torch.cos(math.pi * (places - left))) / 2
    return torch.lerp(knots[:, :, left], knots[:, :, left + 1], ease).transpose(1, 2)
