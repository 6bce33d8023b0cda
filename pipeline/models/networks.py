"""The two networks of a run, each with its own caption encoder, built from params."""

import itertools
import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.extensions import Signature, resolve
from pipeline.models.caption_encoders import build_caption_encoder
from pipeline.models.discriminators import build_discriminator
from pipeline.models.layers import at_least_float32, per_clip
from pipeline.params import ClipParams, TrainParams
from pipeline.records import PAD_ID, UNKNOWN_ID

ALL_FRAMES = slice(None)
DIFFERENCES = ("relativistic", "wasserstein")  # adversarial losses in which only differences of logits count


class Generator(nn.Module):
    """Noise z [B,Z], cond [B,E] -> frames [B,3,T,H,W] about [-1,1]: the base class of all generators.

    `forward` takes (z, cond), or, if `separates_objects` is true, (z, cond, object_cond, action_cond): `object_cond`
    [B,E] encodes the words that name objects and `action_cond` [B,E] all others; both encode all words if no caption of
    the data names an object. Subclasses are built with (shape, params, cond): the shape of the clips, the section
    train.generator, the width E of the captions' vectors.

    `forward` may set `regulariser`: a scalar that a GAN's training adds to the generator's loss, with a weight that
    rises from 0 to 1.
    """

    z_width: int  # Z, noise values per clip; set when it is built
    draws_chosen_frames = False  # True: `forward` also takes a slice `frames=` and draws only these
    regulariser: Tensor | None = None

    @classmethod
    def separates_objects(cls, params: Any) -> bool:  # noqa: ARG003
        """Whether `forward` takes `object_cond` and `action_cond`, for a section train.generator."""
        return False


class FlowGenerator(Generator):
    """A generator trained by flow matching: it follows a path from noise to a clip in a few steps.

    Subclasses define `predict`. The noise has the shape of a clip. Times run from 0 (clip) to 1 (noise); between them
    the path is (1 - time) * clip + time * noise.
    """

    def __init__(self, shape: ClipParams) -> None:
        super().__init__()
        self._frames = (shape.frames, shape.height, shape.width, 3)
        self.z_width = math.prod(self._frames)
        self.steps, self.guidance = 1, 1.0  # of `forward`; may be set at any time
        self.takes_long_steps = True  # False: `predict` is only called with `end` equal to `time`
        self.time_shift = 0.0  # of the logit of evenly spaced times; above 0, most steps are at high noise levels

    def predict(self, noisy: Tensor, end: Tensor, time: Tensor, cond: Tensor) -> Tensor:
        """The clip that a straight step from `time` [B] to `end` [B] leads towards: [B,3,T,H,W] of the same.

        A row of zeros in `cond` [B,E] means no caption.
        """
        raise NotImplementedError

    def shape_noise(self, z: Tensor) -> Tensor:
        """Noise [B,Z] as a clip [B,3,T,H,W] with channels_last_3d strides."""
        return z.view(-1, *self._frames).permute(0, 4, 1, 2, 3)

    def velocity(self, noisy: Tensor, end: Tensor, time: Tensor, cond: Tensor) -> Tensor:
        """The mean velocity from `end` to `time` that follows from `predict`: [B,3,T,H,W]."""
        velocity: Tensor = (noisy - at_least_float32(self.predict(noisy, end, time, cond))) / per_clip(time)
        return velocity

    def forward(self, z: Tensor, cond: Tensor) -> Tensor:
        frames = self.shape_noise(z)
        for now, later in itertools.pairwise(_list_times(self.steps, self.time_shift)):
            time = z.new_full((z.shape[0],), now)
            end = torch.full_like(time, later) if self.takes_long_steps else time
            velocity = self.velocity(frames, end, time, cond)
            if self.guidance != 1:
                blind = self.velocity(frames, end, time, torch.zeros_like(cond))
                velocity = torch.lerp(blind, velocity, self.guidance)
            frames = frames - (now - later) * velocity
        return frames


@cache
def _list_times(steps: int, shift: float) -> list[float]:
    """Times from 1 to 0. Cached by the first run of a generator, so that they are constants when it is exported."""
    times: list[float] = shift_times(torch.linspace(1, 0, steps + 1), shift).tolist()
    return times


def shift_times(times: Tensor, by: float) -> Tensor:
    """Times with their logit shifted by `by`; 0 and 1 stay. Esser et al. 2024, arXiv:2403.03206."""
    return math.exp(by) * times / (1 + math.expm1(by) * times)


class TextToVideo(nn.Module):
    """Noise z [B,Z], token ids [B,L] -> frames [B,3,T,H,W] about [-1,1], float32 with channels_last_3d strides.

    A generator may separate objects from actions: `names_object`, bool [words], says which words name objects. Then an
    object looks the same whatever is done with it, also in a pair of object and action that training never showed.
    """

    names_object: Tensor

    def __init__(
        self,
        shape: ClipParams,
        params: TrainParams,
        words: int,
        pretrained: Tensor | None = None,
        names_object: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.caption_encoder = build_caption_encoder(params.captions, words, pretrained)
        self.object_encoder = None
        kind = find_generator(params)
        if kind.separates_objects(params.generator):
            self.object_encoder = build_caption_encoder(
                params.captions.model_copy(update={"encoder": "mean"}), words, pretrained
            )
            named = torch.ones(words, dtype=torch.bool) if names_object is None else names_object
            self.register_buffer("names_object", named)
        build: Callable[[ClipParams, Any, int], Generator] = kind
        self.generator = build(shape, params.generator, params.captions.width)
        self._clip = (3, shape.frames, shape.height, shape.width)
        if fault := _find_fault(self.generator, kind.separates_objects(params.generator)):
            raise UserError(f"train.generator.kind: {params.generator.kind!r} {fault}")
        if isinstance(self.generator, FlowGenerator):
            self.generator.steps = params.flow.sample_steps
            self.generator.takes_long_steps = params.flow.long_steps > 0
            self.generator.time_shift = params.flow.time_mean
        self.z_width = self.generator.z_width

    def forward(self, z: Tensor, token_ids: Tensor, condition: float = 1.0, chosen: slice = ALL_FRAMES) -> Tensor:
        """`condition` scales the caption's vectors, below 1 only early in training. `chosen`: the frames to return."""
        generate: Callable[..., Tensor] = self.generator
        if early := chosen != ALL_FRAMES and self.generator.draws_chosen_frames:
            generate = partial(self.generator, frames=chosen)
        if self.object_encoder is None:
            frames: Tensor = generate(z, self.caption_encoder(token_ids) * condition)
        else:
            named = self._named(token_ids)
            hidden = named & ~self.names_object.all()  # without object words, all words describe the action
            both = self.caption_encoder(torch.cat((token_ids, token_ids.where(~hidden, UNKNOWN_ID)))) * condition
            cond, action_cond = both.unflatten(0, (2, -1)).unbind()
            frames = generate(z, cond, self.object_encoder(token_ids.where(named, PAD_ID)) * condition, action_cond)
        channels, count, height, width = self._clip
        drawn = len(range(count)[chosen]) if early else count
        if not isinstance(frames, Tensor) or frames.shape[1:] != (channels, drawn, height, width):
            what = list(frames.shape) if isinstance(frames, Tensor) else f"a {type(frames).__name__}"
            message = f"{type(self.generator).__name__} draws {what} for {len(z)} clips"
            requested = f", asked for frames {chosen.start or 0}::{chosen.step or 1} of {count}" if early else ""
            expected = [len(z), channels, drawn, height, width]
            raise UserError(f"train.generator: {message}{requested}; it must draw {expected}")
        frames = frames if early else frames[:, :, chosen]
        return frames.float().contiguous(memory_format=torch.channels_last_3d)

    def add_words(self, vectors: Tensor) -> None:
        """Add words that were not trained on, by their vectors [N,D]; they replace any added before."""
        for encoder in (self.caption_encoder, self.object_encoder):
            if encoder is not None:
                encoder.words.add(vectors)

    def _named(self, token_ids: Tensor) -> Tensor:
        """Which words name objects; a word that was not trained on nearly always does. Padding does not."""
        learned = len(self.names_object)
        named = self.names_object[token_ids.clamp(max=learned - 1)] | (token_ids >= learned) | (token_ids == UNKNOWN_ID)
        return named & (token_ids != PAD_ID)


class CaptionedDiscriminator(nn.Module):
    """Frames [B,3,T,H,W] in [-1,1], token ids [B,L] -> logits [B]; both of its parts may be called separately.

    With a `frame_stride` the clip discriminator is built for every stride-th frame. Given a whole clip, it takes these
    from the first one on.
    """

    def __init__(self, shape: ClipParams, params: TrainParams, words: int, pretrained: Tensor | None = None) -> None:
        super().__init__()
        self.caption_encoder = build_caption_encoder(params.captions, words, pretrained)
        self.shown = slice(0, None, params.discriminator.frame_stride)
        frames = shape.frames // params.discriminator.frame_stride
        self.clip_discriminator = build_discriminator(
            shape.model_copy(update={"frames": frames}), params.discriminator, params.captions.width, params.group_clips
        )
        if params.adversarial in DIFFERENCES and params.mixed.loss == "none":
            self._freeze_level()

    def forward(self, frames: Tensor, token_ids: Tensor) -> Tensor:
        logits: Tensor = self.clip_discriminator(frames[:, :, self.shown], self.caption_encoder(token_ids))
        return logits

    def _freeze_level(self) -> None:
        """Fix the bias of the logits at zero: if only differences count, Adam moves it by rounding errors alone."""
        for name, parameter in self.clip_discriminator.named_parameters():
            if name.endswith("realness.bias"):
                parameter.requires_grad_(False)


GENERATOR = Signature(
    "a subclass of pipeline.models.networks:Generator",
    arguments=("shape", "params", "cond"),
    base=Generator,
    is_class=True,
)


def _find_fault(generator: Generator, separates_objects: bool) -> str:
    """What is wrong with a generator as it was built; empty where it fits."""
    if not isinstance(getattr(generator, "z_width", None), int):
        return "sets no z_width, the number of noise values per clip, when it is built"
    more = ("object_cond", "action_cond") if separates_objects else ()
    named = ("frames",) if generator.draws_chosen_frames else ()
    fault = Signature("", ("z", "cond", *more), keywords=named).find_fault(generator.forward)
    if not fault and isinstance(generator, FlowGenerator):
        fault = Signature("", arguments=("noisy", "end", "time", "cond")).find_fault(generator.predict)
        return f"has a predict that {fault}" if fault else ""
    return f"has a forward that {fault}" if fault else ""


def find_generator(params: TrainParams) -> type[Generator]:
    """The class that the section train.generator names; of built-in kinds pipeline/params/training.py does.

    Raises UserError where it is not one that train.method can train.
    """
    kind: type[Generator] = resolve(params.generator.network, {}, "train.generator.kind", GENERATOR)
    if issubclass(kind, FlowGenerator) != (params.method == "flow"):
        of, base = ("gan", "no subclass") if params.method == "flow" else ("flow", "a subclass")
        raise UserError(
            f"train.generator.kind: {params.generator.kind!r} is {base} of pipeline.models.networks.FlowGenerator and "
            f"so not trained by {params.method}; set train.method to {of}, or name another generator"
        )
    return kind
