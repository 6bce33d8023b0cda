"""The generator inside the page: markup, weights and scripts that generate a clip for any caption without a server.

The scripts of `player/` are plain JavaScript that shares one scope. Those of a worker draw, so that the page never
stands still; the others are what is seen. All of it is inlined as it is, for a page that is opened from a file.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.data.batches import pad
from pipeline.data.sampler import draw_noise
from pipeline.directions.table import Directions
from pipeline.errors import UserError
from pipeline.inference import Model
from pipeline.model_files import DESCRIPTION
from pipeline.models.flops import step_flops
from pipeline.page.inset import Inset, embed, embed_json, explain, read_scripts, read_source
from pipeline.page.weights import pack_weights
from pipeline.params import SamplingParams
from pipeline.params.training import ENCODER_NAMES, GENERATORS
from pipeline.text.parsing import encode
from pipeline.text.vocabulary import Vocabulary, parse_vocabulary

WORKER = (  # in the order in which they build on each other
    *("random", "weights", "plain_kernel", "kernel", "tensors", "captions", "blocks"),
    *("residual", "convgru", "unet", "model", "worker"),
)
INTERFACE = ("tokens", "gif", "files", "saving", "interface")
MOST_VALUES = 20_000_000  # of a model: 40 MB of text
MOST_OPERATIONS = 60_000_000_000  # of a clip, in floating point: some seconds in a browser


POLICY = {  # what the page's Content-Security-Policy has to allow besides the style and the script themselves
    "script-src": ["'wasm-unsafe-eval'"],
    "worker-src": ["blob:"],
}


def build_player(
    model_folder: Path,
    captions: Iterable[str],
    directions: Directions,
    fps: int,
    sampling: SamplingParams | None = None,
) -> Inset:
    """The player of a trained model; `captions` are offered to choose from, `fps` is frames per second.

    Equal models give equal bytes. Raises UserError where there is no model.
    """
    model = Model(model_folder, sampling)
    vocabulary = parse_vocabulary(model.description["vocabulary"], model_folder / DESCRIPTION)
    reason = _find_obstacle(model)
    if reason:
        return explain(reason)
    description = _describe(model, vocabulary, directions, list(dict.fromkeys(captions)), fps)
    data = (
        embed("player-model", "application/json", embed_json(description))
        + embed("player-engine", "text/plain", read_scripts(WORKER))
        + embed("player-weights", "text/plain", pack_weights(model))
    )
    return Inset(read_source("player.html"), read_source("player.css"), data, read_scripts(INTERFACE))


def _find_obstacle(model: Model) -> str:
    """Why a page cannot run the model; empty where it can."""
    kind, encoder = model.params.generator.kind, model.params.captions.encoder
    if kind not in GENERATORS:
        return f"The generator {kind} is code of this project, which a page cannot run. Use `t2v sample`."
    if encoder not in ENCODER_NAMES:
        return f"The caption encoder {encoder} is code of this project, which a page cannot run. Use `t2v sample`."
    values = sum(value.numel() for value in model.generator.state_dict().values())
    if values > MOST_VALUES:
        return f"The generator has {values / 1e6:.0f} million values, too many for a page. Use `t2v sample`."
    z = draw_noise(0, 1, model.generator.z_width)
    # The network itself: in inference mode, which `sample` uses, operations are not counted.
    operations = step_flops(lambda: model.generator(z, pad([(1,)])))
    if operations > MOST_OPERATIONS:
        return f"A clip takes {operations / 1e9:.0f} billion operations, too many for a page. Use `t2v sample`."
    return ""


def _describe(
    model: Model, vocabulary: Vocabulary, directions: Directions, captions: list[str], fps: int
) -> dict[str, Any]:
    """All that the scripts have to know of a model besides its weights."""
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
    """The tokens of the captions where the page cannot find them itself: by a spaCy model, or lemmas."""
    if vocabulary.model is None and not vocabulary.lemmas:
        return {}
    read = {}
    for caption in captions:
        try:
            read[caption] = encode(caption, vocabulary, max_tokens).caption.tokens
        except UserError:  # the page says so of this one
            continue
    return read
