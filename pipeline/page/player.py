"""The generator in the page: markup, weights and scripts that generate a clip for any caption without a server.

The scripts in `player/` are plain JavaScript in a shared scope. Those of the worker run the generator, so that the page
stays responsive; the others are the user interface. All are inlined, so that the page can be opened from a file.

Weights are safetensors, gzip, base85. Most are rounded to the fewest bits that leave the frames unchanged, usually nine
or ten significant ones. Those of poses and captions have sixteen, since rounded poses jitter. Bytes are stored in
planes, the lowest byte of all numbers first, since that compresses better. The layout is that of
pipeline/page/player/tensors.js.
"""

import base64
import copy
import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from pipeline.data.dataset import pad
from pipeline.data.sampler import draw_noise
from pipeline.directions import Directions
from pipeline.errors import UserError
from pipeline.inference import Model
from pipeline.models.flops import step_flops
from pipeline.models.layers import Convolution
from pipeline.models.networks import TextToVideo
from pipeline.page.widget import Widget, embed, embed_json, explain_missing, read_scripts, read_source
from pipeline.params import SamplingParams
from pipeline.params.training import ENCODER_NAMES, GENERATORS
from pipeline.records import DESCRIPTION
from pipeline.text.parsing import encode
from pipeline.text.vocabulary import Vocabulary, parse_vocabulary

WORKER = (  # in the order of dependencies
    *("random", "weights", "plain_kernel", "kernel", "tensors", "captions", "blocks"),
    *("residual", "convgru", "unet", "model", "worker"),
)
INTERFACE = ("tokens", "gif", "files", "saving", "interface")
MAX_VALUES = 20_000_000  # of a model: 40 MB of text
MAX_OPERATIONS = 60_000_000_000  # floating-point operations per clip: some seconds in a browser

POLICY = {  # additions to the page's Content-Security-Policy
    "script-src": ["'wasm-unsafe-eval'"],
    "worker-src": ["blob:"],
}

STEERING = (  # prefixes of names
    "caption_encoder.",
    "object_encoder.",
    "names_object",
    "generator.step_encoder.",
    "generator.pose_head.",
    "generator.camera.",
    "generator.begin.",
    "generator.recurrent.",
    "generator.hidden.",
    "generator.frames",
)
HALF, SINGLE = 2, 3  # planes: of a float16, and of a float32 without its last byte
PRECISIONS = ((HALF, 2), (HALF, 1), (HALF, 0), (SINGLE, 8))  # planes, and number of lowest bits set to zero
CLOSE = 0.5  # grey levels, on a few clips, so that no other clip is a whole level off
TRIED = 8  # clips

Arrays = dict[str, NDArray[np.float32]]
Precision = tuple[int, int]


def build_player(
    model_folder: Path,
    captions: Iterable[str],
    directions: Directions,
    fps: int,
    sampling: SamplingParams | None = None,
) -> Widget:
    """The player of a trained model; `captions` are offered as a selection, `fps` is frames per second.

    Equal models give equal bytes. Raises UserError if there is no model.
    """
    model = Model(model_folder, sampling)
    vocabulary = parse_vocabulary(model.description["vocabulary"], model_folder / DESCRIPTION)
    reason = _find_obstacle(model)
    if reason:
        return explain_missing(reason)
    description = _describe(model, vocabulary, directions, list(dict.fromkeys(captions)), fps)
    data = (
        embed("player-model", "application/json", embed_json(description))
        + embed("player-engine", "text/plain", read_scripts(WORKER))
        + embed("player-weights", "text/plain", pack_weights(model))
    )
    return Widget(read_source("player.html"), read_source("player.css"), data, read_scripts(INTERFACE))


def _find_obstacle(model: Model) -> str:
    """Why the page cannot run the model; empty if it can."""
    kind, encoder = model.params.generator.kind, model.params.captions.encoder
    if kind not in GENERATORS:
        return f"The generator {kind} is code of this project, which a page cannot run. Use `t2v sample`."
    if encoder not in ENCODER_NAMES:
        return f"The caption encoder {encoder} is code of this project, which a page cannot run. Use `t2v sample`."
    values = sum(value.numel() for value in model.generator.state_dict().values())
    if values > MAX_VALUES:
        return f"The generator has {values / 1e6:.0f} million values, too many for a page. Use `t2v sample`."
    z = draw_noise(0, 1, model.generator.z_width)
    # Called directly, since `sample` uses inference mode, in which operations are not counted.
    operations = step_flops(lambda: model.generator(z, pad([(1,)])))
    if operations > MAX_OPERATIONS:
        return f"A clip takes {operations / 1e9:.0f} billion operations, too many for a page. Use `t2v sample`."
    return ""


def _describe(
    model: Model, vocabulary: Vocabulary, directions: Directions, captions: list[str], fps: int
) -> dict[str, Any]:
    """Everything that the scripts need besides the weights."""
    opposites = {action: directions.find_opposite(action) for action in vocabulary.actions}
    return {
        "clip": {"frames": model.shape.frames, "height": model.shape.height, "width": model.shape.width},
        "generator": model.params.generator.model_dump(),
        "captions": model.params.captions.model_dump(),
        "z_width": model.generator.z_width,
        "flow": _describe_flow(model),
        "max_tokens": model.max_tokens,
        "words": vocabulary.words,
        "actions": vocabulary.actions,
        "opposites": {action: opposite for action, opposite in opposites.items() if opposite},
        "examples": captions,
        "readings": _read_ahead(captions, vocabulary, model.max_tokens),
        "fps": fps,
    }


def _describe_flow(model: Model) -> dict[str, float | bool] | None:
    flow = model.flow
    if flow is None:
        return None
    settings = {"time_shift": flow.time_shift, "takes_long_steps": flow.takes_long_steps}
    return {**settings, **model.sampling()}


def _read_ahead(captions: list[str], vocabulary: Vocabulary, max_tokens: int) -> dict[str, tuple[str, ...]]:
    """The tokens of the captions if the page cannot compute them: by a spaCy model, or with lemmas."""
    if vocabulary.model is None and not vocabulary.lemmas:
        return {}
    read = {}
    for caption in captions:
        try:
            read[caption] = encode(caption, vocabulary, max_tokens).caption.tokens
        except UserError:  # reported by the page
            continue
    return read


def pack_weights(model: Model) -> str:
    """All tensors of a generator as one line of base85; equal weights give equal bytes.

    The alphabet is that of `base64.b85encode`, with a comma in place of `<`.
    """
    precision = _choose_precision(model)
    planes = {name: _split(values, _limit(name, values, precision)) for name, values in sorted(_arrange(model).items())}
    return base64.b85encode(gzip.compress(save(planes), mtime=0)).decode("ascii").replace("<", ",")


def _choose_precision(model: Model) -> Precision:
    """The lowest precision that leaves clips unchanged; the highest if there is none."""
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
        elif array.ndim == 5:  # a learned feature map
            array = array.transpose(0, 2, 3, 4, 1)
        elif array.ndim == 2 and name in learned:
            array = array.T
        arrays[name] = array
    return {name: array for name, array in arrays.items() if ".words." not in name} | _tabulate_words(model)


def _tabulate_words(model: Model) -> Arrays:
    """The vectors of all words of the vocabulary [V,E], for each caption encoder."""
    every = pad([range(len(model.vocabulary))])
    encoders = {"caption_encoder": model.generator.caption_encoder, "object_encoder": model.generator.object_encoder}
    return {f"{name}.words": one.words(every)[0].numpy() for name, one in encoders.items() if one is not None}


def _find_gains(network: TextToVideo) -> dict[str, float]:
    """Name -> the gain that multiplies the weights of a convolution."""
    return {f"{name}.weight": part.gain for name, part in network.named_modules() if isinstance(part, Convolution)}


def _limit(name: str, values: NDArray[np.float32], precision: Precision) -> Precision:
    """`precision`, or the highest one for STEERING weights and those that exceed the range of float16."""
    beyond = np.abs(values).max(initial=0) > np.finfo(np.float16).max / 2
    return PRECISIONS[-1] if beyond or name.startswith(STEERING) else precision


def _round(values: NDArray[np.float32], precision: Precision) -> NDArray[np.float32]:
    """Round to this precision, half to even."""
    planes, spared = precision
    lost = np.uint32(spared + (13 if planes == HALF else 0))  # of the 23 mantissa bits of a float32
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
