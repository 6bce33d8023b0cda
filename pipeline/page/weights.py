"""The weights of a generator in the encoding that the page reads: safetensors, gzip, base85.

Most are rounded to as few bits as leave its frames the same, nearly always nine or ten significant ones. What steers
places and captions has sixteen, since a rounded place trembles. The bytes of a number lie in planes, the lowest of
all numbers first: those of a kind compress better together. Weights are laid out as pipeline/page/player/tensors.js
reads them.
"""

import base64
import copy
import gzip

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from pipeline.data.batches import pad
from pipeline.data.sampler import draw_noise
from pipeline.inference import Model
from pipeline.models.layers import Convolution
from pipeline.models.networks import TextToVideo

STEERING = (  # beginnings of names
    "caption_encoder.",
    "object_encoder.",
    "names_object",
    "generator.code.",
    "generator.placement.",
    "generator.camera.",
    "generator.begin.",
    "generator.recurrent.",
    "generator.hidden.",
    "generator.frames",
)
HALF, SINGLE = 2, 3  # planes: of a float16, and of a float32 without its last byte
PRECISIONS = ((HALF, 2), (HALF, 1), (HALF, 0), (SINGLE, 8))  # planes, and how many last bits are spared
CLOSE = 0.5  # grey levels; of a few clips, so that no other one is a whole level off
TRIED = 8  # clips
Arrays = dict[str, NDArray[np.float32]]
Precision = tuple[int, int]


def pack_weights(model: Model) -> str:
    """All that a generator reads, as one line of base85; equal weights give equal bytes.

    The alphabet is that of `base64.b85encode`, with a comma for the sign that opens elements.
    """
    precision = _choose_precision(model)
    planes = {name: _split(values, _limit(name, values, precision)) for name, values in sorted(_arrange(model).items())}
    return base64.b85encode(gzip.compress(save(planes), mtime=0)).decode("ascii").replace("<", ",")


def _choose_precision(model: Model) -> Precision:
    """The smallest with which clips are as they were; the largest where there is none."""
    z = draw_noise(0, TRIED, model.generator.z_width)
    words = np.random.default_rng(0).integers(1, len(model.vocabulary), (TRIED, min(12, model.max_tokens)))
    ids = pad(words.tolist())
    wanted = model.generator(z, ids).clamp(-1, 1)
    for precision in PRECISIONS[:-1]:
        rounded = copy.deepcopy(model.generator)
        gains = _find_gains(rounded)
        for name, value in rounded.state_dict().items():
            array, gain = value.numpy(), np.float32(gains.get(name, 1))
            if array.dtype == np.float32:
                array[...] = _round(array * gain, _limit(name, array * gain, precision)) / gain
        if (rounded(z, ids).clamp(-1, 1) - wanted).abs().max() * (255 / 2) <= CLOSE:
            return precision
    return PRECISIONS[-1]


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
        elif array.ndim == 5:  # a map that is learned
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
    """By which the weights of each convolution are multiplied."""
    return {f"{name}.weight": part.gain for name, part in network.named_modules() if isinstance(part, Convolution)}


def _limit(name: str, values: NDArray[np.float32], precision: Precision) -> Precision:
    """The precision of some weights where most have this one; of those that float16 has no number for, the largest."""
    beyond = np.abs(values).max(initial=0) > np.finfo(np.float16).max / 2
    return PRECISIONS[-1] if beyond or name.startswith(STEERING) else precision


def _round(values: NDArray[np.float32], precision: Precision) -> NDArray[np.float32]:
    """The nearest numbers with so few bits, of two as near the one whose last bit is zero."""
    planes, spared = precision
    lost = np.uint32(spared + (13 if planes == HALF else 0))  # of the 23 bits after the first of a float32
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    one = np.uint32(1)
    rounded = (bits + (one << lost >> one) - one + (bits >> lost & one)) >> lost << lost
    return rounded.view(np.float32)


def _split(values: NDArray[np.float32], precision: Precision) -> NDArray[np.uint8]:
    """[...] -> the upper bytes of each rounded number [planes,...]."""
    planes = precision[0]
    kind = np.float16 if planes == HALF else np.float32
    numbers = np.ascontiguousarray(_round(values, precision).astype(kind))
    return np.ascontiguousarray(np.moveaxis(numbers[..., None].view(np.uint8), -1, 0)[-planes:])
