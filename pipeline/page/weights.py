"""The quantised weights of a generator as text in the page: whole numbers of steps, gzip, base85.

The step of a tensor is a power of two, inversely proportional to the sensitivity of the frames to its weights: all
weights then add the same noise to the frames, which takes the fewest bits for a given error. All steps shrink together
until a few clips are nearly unchanged. The eight highest bits of all numbers come first, the others, which are as good
as random, after them, so that gzip compresses nearly as well as possible. pipeline/page/player/weights.js decodes this
format.
"""

import base64
import copy
import json
import zlib
from math import ceil, floor, log2, sqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.dataset import pad
from pipeline.inference import Model, draw_inputs
from pipeline.models.layers import Convolution
from pipeline.models.networks import TextToVideo

GREY = 255 / 2  # grey levels in a unit of frames, which lie in [-1,1]
CLOSE = 0.25  # grey levels that a few clips may differ by, so that no other clip differs by a whole level
EXPECTED = 0.03  # grey levels, root mean square over all pixels; the largest difference is then about CLOSE
TRIED, PROBED = 8, 4  # clips that have to be close, and clips whose slopes are measured
FINER = 3  # bits by which the steps of STEERING weights are finer: positions decide much in few pixels
STEERING = (  # prefixes of the weights that determine positions and encode captions
    *("caption_encoder.", "object_encoder.", "generator.step_encoder.", "generator.pose_head.", "generator.camera."),
    *("generator.begin.", "generator.recurrent.", "generator.condition_embed.", "generator.frame_embedding"),
)
TABLE_BITS = 18  # besides the sign, of tensors without a slope: word vectors, batch statistics
MAX_BITS = 22  # besides the sign, of any tensor, so that numbers fit into three bytes
GZIP = 16 + zlib.MAX_WBITS  # selects the gzip format, here without time and name

Arrays = dict[str, NDArray[np.float32]]
Exponents = dict[str, int]
Inputs = tuple[Any, Any]  # tensors: z [B,Z], ids [B,L]


def pack_weights(model: Model) -> str:
    """The weights and word vectors of a generator as one line of base85; equal weights give equal bytes.

    The alphabet is that of `base64.b85encode`, with a comma instead of "<", which would start an element.
    """
    arrays = _arrange(model)
    exponents = _choose_exponents(model, arrays)
    described, highest, lowest = [], [], []
    for name, values in arrays.items():
        high, low = split_steps(values, exponents[name])
        described.append([name, values.shape, exponents[name], len(low)])
        highest.append(high.tobytes())
        lowest.append(np.packbits(low.T).tobytes())  # number by number, the highest bit first
    header = json.dumps(described, separators=(",", ":")) + "\n"
    packed = header.encode("ascii") + b"".join(highest) + b"".join(lowest)
    # Weights do not repeat: without matching, the result is 1 % shorter.
    deflate = zlib.compressobj(9, zlib.DEFLATED, GZIP, strategy=zlib.Z_RLE)
    return base64.b85encode(deflate.compress(packed) + deflate.flush()).decode("ascii").replace("<", ",")


def _choose_exponents(model: Model, arrays: Arrays) -> Exponents:
    """The exponent of each tensor's step: the largest with which clips are close, or else the smallest."""
    exponents: Exponents = {}
    inputs = draw_inputs(model, TRIED)
    wanted = _draw(model.generator, inputs)
    slopes = _find_slopes(model, (inputs[0][:PROBED], inputs[1][:PROBED]))
    number = sum(arrays[name].size for name in slopes)
    # A step s adds a variance of s^2 / 12 to a weight; all of them together are to add EXPECTED to the frames.
    noise = EXPECTED / GREY * sqrt(12 * wanted[:PROBED].size / max(number, 1))
    for halves in range(2 * MAX_BITS + 1):
        exponents = {}
        for name, values in arrays.items():
            most = ceil(log2(np.abs(values).max(initial=0) or 1))
            wished = log2(noise / slopes[name]) - halves / 2 if name in slopes else most - TABLE_BITS
            finer = FINER if name in slopes and name.startswith(STEERING) else 0
            exponents[name] = max(floor(wished) - finer, most - MAX_BITS)
        rounded = _round(model.generator, exponents)
        if np.abs(_draw(rounded, inputs) - wanted).max() * GREY <= CLOSE:
            break
    return exponents


def _draw(network: TextToVideo, inputs: Inputs) -> NDArray[np.float32]:
    """Clamped frames [B,C,T,H,W]."""
    frames: NDArray[np.float32] = network(*inputs).clamp(-1, 1).numpy()
    return frames


def _find_slopes(model: Model, inputs: Inputs) -> dict[str, float]:
    """The slopes of the frames with respect to each parameter, in units of `_arrange`; without those that are zero."""
    gains = _find_gains(model.generator)
    slopes = {name: slope / gains.get(name, 1) for name, slope in measure_slopes(model.generator, *inputs).items()}
    return {name: slope for name, slope in slopes.items() if slope > 0 and ".words." not in name}


def measure_slopes(network: TextToVideo, z: Tensor, ids: Tensor) -> dict[str, float]:
    """Root mean square slopes of the clamped pixels with respect to each parameter, by name; z [B,Z], ids [B,L].

    Squares are summed over pixels and averaged over the parameter's values. They are estimated by the gradient of the
    sum of pixels with random signs (Hutchinson 1990, "A stochastic estimator of the trace of the influence matrix").
    Clip by clip, since gradients keep the activations of all layers in memory.
    """
    network = copy.deepcopy(network).requires_grad_()
    rng = np.random.default_rng(0)
    for clip in range(len(z)):
        frames = network(z[clip : clip + 1], ids[clip : clip + 1]).clamp(-1, 1)
        signs = torch.from_numpy(rng.choice(np.array([-1, 1], np.float32), frames.shape))
        torch.autograd.backward((frames * signs).sum())
    return {
        name: float(parameter.grad.square().mean().sqrt())
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }


def _round(network: TextToVideo, exponents: Exponents) -> TextToVideo:
    """A copy of the network with quantised weights."""
    rounded = copy.deepcopy(network)
    gains = _find_gains(rounded)
    for name, value in rounded.state_dict().items():
        if name in exponents and value.is_floating_point():
            array, gain = value.numpy(), np.float32(gains.get(name, 1))
            array[...] = np.ldexp(_count_steps(array * gain, exponents[name]), exponents[name]) / gain
    return rounded


def _arrange(model: Model) -> Arrays:
    """The weights by name: linear layers [in,out], convolutions [t,h,w,in,out] with their gain, channels last."""
    network = model.generator
    gains = _find_gains(network)
    learned = {name for name, _ in network.named_parameters()}
    arrays = {}
    for name, value in network.state_dict().items():
        array = value.float().numpy()
        if name in gains:
            array = (array * np.float32(gains[name])).transpose(2, 3, 4, 1, 0)
        elif array.ndim == 5:  # a learned map
            array = array.transpose(0, 2, 3, 4, 1)
        elif array.ndim == 2 and name in learned:
            array = array.T
        arrays[name] = array
    return {name: array for name, array in arrays.items() if ".words." not in name} | _tabulate_words(model)


def _tabulate_words(model: Model) -> Arrays:
    """The vector of every word of the vocabulary, for each caption encoder: [V,E]."""
    every = pad([range(len(model.vocabulary))])
    encoders = {"caption_encoder": model.generator.caption_encoder, "object_encoder": model.generator.object_encoder}
    return {f"{name}.words": one.words(every)[0].numpy() for name, one in encoders.items() if one is not None}


def _find_gains(network: TextToVideo) -> dict[str, float]:
    """The factors of the weights of convolutions, by name."""
    return {f"{name}.weight": part.gain for name, part in network.named_modules() if isinstance(part, Convolution)}


def _count_steps(values: NDArray[np.float32], exponent: int) -> NDArray[np.float32]:
    """The whole number of steps nearest to each value."""
    steps: NDArray[np.float32] = np.rint(np.ldexp(values, -exponent))
    return steps


def split_steps(values: NDArray[np.float32], exponent: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The numbers of steps [N] of `values`: a byte each with the highest bits [N], and all lower bits [L,N].

    Numbers are zigzag-encoded: 0, -1, 1, -2 become 0, 1, 2, 3. L is 0 if the largest number fits into a byte.
    """
    steps: NDArray[Any] = _count_steps(values.ravel(), exponent).astype(np.int64)
    numbers = np.where(steps < 0, -2 * steps - 1, 2 * steps)
    lower = max(0, int(numbers.max(initial=0)).bit_length() - 8)
    low = [(numbers >> bit & 1).astype(np.uint8) for bit in reversed(range(lower))]
    return (numbers >> lower).astype(np.uint8), np.array(low, np.uint8).reshape(lower, numbers.size)
