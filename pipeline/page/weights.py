"""The quantised weights of a generator as text in the page: whole numbers of steps, by an entropy coder.

The step of a weight is inversely proportional to the sensitivity of the frames to the weights of its row and its
column: all weights then add the same noise to the frames, which takes the fewest bits for a given error. All steps
shrink together until some clips are nearly unchanged. Steps are powers of the fourth root of two.
pipeline/page/player/weights.js decodes this format.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.dataset import pad
from pipeline.inference import Model, draw_inputs
from pipeline.models.layers import Convolution
from pipeline.models.networks import TextToVideo
from pipeline.page.coder import Coder, Integers, count_frequencies, pad_tables, split_numbers

GREY = 255 / 2  # grey levels in a unit of frames, which lie in [-1,1]
CLOSE = 0.5  # grey levels that TRIED clips may differ by, so that no other clip differs by a whole level
COARSEST = -34  # log2 of the noise that a weight may add to a pixel, in quarters; the search starts here
TRIED, PROBED = 64, 16  # clips that have to be close, and clips whose slopes are measured
AT_ONCE = 8  # clips that are drawn together
FINER = 2  # octaves by which the steps of STEERING weights are finer: they decide much in few pixels
STEERING = (  # prefixes of the weights that determine positions, encode captions and draw the object
    *("caption_encoder.", "object_encoder.", "generator.step_encoder.", "generator.pose_head.", "generator.camera."),
    *("generator.begin.", "generator.recurrent.", "generator.condition_embed.", "generator.frame_embedding"),
    *("generator.object_code.", "generator.object_pose", "generator.object_layers."),
)
UNEVEN = 1 / 8  # least square slope of a row or column, of the mean: other clips may be more sensitive to it
TABLE_BITS = 18  # besides the sign, of tensors without a slope: word vectors, batch statistics
MAX_BITS = 22  # besides the sign, of any tensor
FINE = 2  # octaves: numbers that spread wider than this many bits have their lowest bits coded as they are
LEAST, MOST = -8, 4 * FINE + 3  # spreads of the numbers that are told apart, in quarters of octaves
QUARTERS = (1, 1.189207115002721, 1.4142135623730951, 1.681792830507429)  # powers of the fourth root of two

Arrays = dict[str, NDArray[np.float32]]
Slopes = Mapping[str, NDArray[np.float64]]
Inputs = tuple[Any, Any]  # tensors: z [B,Z], ids [B,L]


@dataclass(frozen=True)
class Steps:
    """The steps of a tensor as exponents, in quarters of octaves: the coarsest, and by how much rows, the last axis but
    one, and columns, the last axis, are finer. None is finer than `lowest`.
    """

    coarsest: int
    lowest: int
    down: Integers
    across: Integers

    def list_exponents(self) -> Integers:
        """The exponent of each step: [rows,columns]."""
        exponents: Integers = np.maximum(self.coarsest - self.down[:, None] - self.across, self.lowest)
        return exponents

    def measure(self) -> NDArray[np.float64]:
        """Each step: [rows,columns]."""
        exponents = self.list_exponents()
        steps: NDArray[np.float64] = np.ldexp(np.array(QUARTERS)[exponents & 3], exponents >> 2)
        return steps


def pack_weights(model: Model) -> str:
    """The weights and word vectors of a generator, as a line of JSON and one of digits; equal for equal weights."""
    arrays = _arrange(model)
    steps = _choose_steps(model, arrays)
    return encode_weights({name: (array, steps[name]) for name, array in arrays.items()})


def encode_weights(tensors: Mapping[str, tuple[NDArray[np.float32], Steps]]) -> str:
    """Tensors by name, with their steps, as text."""
    spreads = {name: _measure_spread(array) for name, (array, _) in tensors.items()}
    parts = {name: _split(array, steps, spreads[name]) for name, (array, steps) in tensors.items()}
    finer = [np.concatenate([steps.down, steps.across]) for array, steps in tensors.values() if array.ndim > 1]
    rows = np.concatenate([part[0] for part in parts.values()])
    symbols = np.concatenate([part[1] for part in parts.values()])
    counted = [count_frequencies(symbols[rows == row]) for row in range(1, MOST - LEAST + 2)]
    tables = pad_tables([count_frequencies(np.concatenate([np.zeros(1, np.int64), *finer])), *counted])
    coder = Coder()
    for name, (array, steps) in tensors.items():
        if array.ndim > 1:
            for axis in (steps.down, steps.across):
                coder.write_symbols(axis, np.zeros_like(axis), tables)
        kinds, drawn, values, bits = parts[name]
        coder.write_symbols(drawn, kinds, tables)
        coder.write_bits(values, bits)
    header = {
        "tables": [np.trim_zeros(table, "b").tolist() for table in tables],
        "tensors": {
            name: [list(array.shape), spreads[name], steps.coarsest, steps.lowest]
            for name, (array, steps) in tensors.items()
        },
    }
    return f"{json.dumps(header, separators=(',', ':'))}\n{coder.encode()}"


def _measure_spread(array: NDArray[np.float32]) -> int:
    """The root mean square of the weights, in quarters of octaves."""
    return round(4 * log2(np.sqrt(np.square(array, dtype=np.float64).mean()) or 1)) if array.size else 0


def _split(array: NDArray[np.float32], steps: Steps, spread: int) -> tuple[Integers, Integers, Integers, Integers]:
    """The numbers of steps of a tensor: rows of the tables, symbols, and the values and counts of their open bits."""
    exponents = np.broadcast_to(steps.list_exponents(), array.shape if array.ndim > 1 else (array.size, 1)).ravel()
    numbers = _count_steps(array, steps).astype(np.int64).ravel()
    low = np.maximum((spread - exponents >> 2) - FINE, 0)
    symbols, values, bits = split_numbers(numbers >> low)
    rows = 1 + np.maximum(spread - exponents - 4 * low - LEAST, 0)
    return rows, symbols, values << low | numbers & (1 << low) - 1, bits + low


def _count_steps(array: NDArray[np.float32], steps: Steps) -> NDArray[np.float64]:
    """The whole number of steps nearest to each value."""
    measured = steps.measure()
    numbers: NDArray[np.float64] = np.rint(array / (measured if array.ndim > 1 else measured[0, 0]))
    return numbers


def _choose_steps(model: Model, arrays: Arrays) -> dict[str, Steps]:
    """The steps of each tensor: the coarsest with which clips are close, or else the finest."""
    inputs = draw_inputs(model, TRIED)
    wanted = [_draw(model.generator, part) for part in _cut(inputs)]
    slopes = _find_slopes(model, (inputs[0][:PROBED], inputs[1][:PROBED]))
    steps: dict[str, Steps] = {}
    for finer in range(8 * MAX_BITS):
        steps = {name: _divide(name, values, slopes.get(name), COARSEST - finer) for name, values in arrays.items()}
        rounded = _round(model.generator, steps)
        drawn = zip(_cut(inputs), wanted, strict=True)
        if all(np.abs(_draw(rounded, part) - frames).max() * GREY <= CLOSE for part, frames in drawn):
            break
    return steps


def _divide(name: str, array: NDArray[np.float32], slopes: NDArray[np.float64] | None, noise: int) -> Steps:
    """The steps of a tensor with slopes [rows,columns]; `noise` is log2 of what each weight adds, in quarters."""
    largest = 4 * ceil(log2(np.abs(array).max(initial=0) or 1))
    shape = array.shape[-2:] if array.ndim > 1 else (1, 1)
    if slopes is None:
        down, across = (np.zeros(length, np.int64) for length in shape)
        return Steps(largest - 4 * TABLE_BITS, largest - 4 * MAX_BITS, down, across)
    mean = slopes.mean()
    axes = [np.maximum(slopes.mean(axis) / mean, UNEVEN) for axis in (1, 0)]
    down, across = (np.rint(2 * np.log2(axis / axis.min())).astype(np.int64) for axis in axes)
    wished = noise - 2 * log2(mean * axes[0].min() * axes[1].min()) - (4 * FINER if name.startswith(STEERING) else 0)
    return Steps(max(round(wished), largest - 4 * MAX_BITS), largest - 4 * MAX_BITS, down, across)


def _cut(inputs: Inputs) -> list[Inputs]:
    """Inputs of a few clips each, the first of which usually tell that steps are too coarse."""
    return [(inputs[0][at : at + AT_ONCE], inputs[1][at : at + AT_ONCE]) for at in range(0, len(inputs[0]), AT_ONCE)]


def _draw(network: TextToVideo, inputs: Inputs) -> NDArray[np.float32]:
    """Clamped frames [B,C,T,H,W]."""
    frames: NDArray[np.float32] = network(*inputs).clamp(-1, 1).numpy()
    return frames


def _find_slopes(model: Model, inputs: Inputs) -> Slopes:
    """Mean square slopes of the frames with respect to rows and columns of each parameter; without those of zero."""
    gains = _find_gains(model.generator)
    found = {}
    for name, squares in measure_slopes(model.generator, *inputs).items():
        if ".words." not in name and squares.any():
            array = _transpose(name, squares / gains.get(name, 1) ** 2, model.generator)
            flat = array if array.ndim > 1 else array.mean(keepdims=True)[:, None]
            found[name] = flat.reshape(-1, *flat.shape[-2:]).mean(axis=0)
    return found


def measure_slopes(network: TextToVideo, z: Tensor, ids: Tensor) -> dict[str, NDArray[np.float64]]:
    """Squared slopes of the clamped pixels of all clips with respect to each weight, by name; z [B,Z], ids [B,L].

    They are summed over pixels, which the gradient of the sum of pixels with random signs estimates (Hutchinson 1990,
    "A stochastic estimator of the trace of the influence matrix"), and over clips. In float64, so that processors that
    add in different orders choose the same steps.
    """
    network = copy.deepcopy(network).double().requires_grad_()
    rng = np.random.default_rng(0)
    found: dict[str, NDArray[np.float64]] = {}
    for clip in range(len(z)):
        frames = network(z[clip : clip + 1].double(), ids[clip : clip + 1]).clamp(-1, 1)
        signs = torch.from_numpy(rng.choice(np.array([-1.0, 1.0]), frames.shape))
        torch.autograd.backward((frames * signs).sum())
        for name, parameter in network.named_parameters():
            if parameter.grad is not None:
                found[name] = found.get(name, np.float64(0)) + parameter.grad.square().numpy()
        network.zero_grad()
    return found


def _round(network: TextToVideo, steps: Mapping[str, Steps]) -> TextToVideo:
    """A copy of the network with quantised weights."""
    rounded = copy.deepcopy(network)
    gains = _find_gains(rounded)
    for name, value in rounded.state_dict().items():
        if name in steps and value.is_floating_point():
            array, gain = _transpose(name, value.numpy(), rounded), np.float32(gains.get(name, 1))
            numbers, measured = _count_steps(array * gain, steps[name]), steps[name].measure()
            array[...] = (numbers * (measured if array.ndim > 1 else measured[0, 0])).astype(np.float32) / gain
    return rounded


def _arrange(model: Model) -> Arrays:
    """The weights by name: linear layers [in,out], convolutions [t,h,w,in,out] with their gain, channels last."""
    network = model.generator
    gains = _find_gains(network)
    arrays = {
        name: _transpose(name, value.float().numpy() * np.float32(gains.get(name, 1)), network)
        for name, value in network.state_dict().items()
        if ".words." not in name
    }
    return arrays | _tabulate_words(model)


def _transpose(name: str, array: NDArray[Any], network: TextToVideo) -> NDArray[Any]:
    """A weight with the channels last, as a view."""
    if name in _find_gains(network):
        return array.transpose(2, 3, 4, 1, 0)
    if array.ndim == 5:  # a learned map
        return array.transpose(0, 2, 3, 4, 1)
    return array.T if array.ndim == 2 and name in {known for known, _ in network.named_parameters()} else array


def _tabulate_words(model: Model) -> Arrays:
    """The vector of every word of the vocabulary, for each caption encoder: [V,E]."""
    every = pad([range(len(model.vocabulary))])
    encoders = {"caption_encoder": model.generator.caption_encoder, "object_encoder": model.generator.object_encoder}
    return {f"{name}.words": one.words(every)[0].numpy() for name, one in encoders.items() if one is not None}


def _find_gains(network: TextToVideo) -> dict[str, float]:
    """The factors of the weights of convolutions, by name."""
    return {f"{name}.weight": part.gain for name, part in network.named_modules() if isinstance(part, Convolution)}
