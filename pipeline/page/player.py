"""The generator in the page: markup, weights and scripts that generate a clip for any caption without a server.

The scripts in `player/` are plain JavaScript in a shared scope. Those of the worker run the generator, so that the page
stays responsive; the others are the user interface. All are inlined, so that the page can be opened from a file.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.data.dataset import pad
from pipeline.data.sampler import draw_noise
from pipeline.directions import DirectionRules
from pipeline.errors import UserError
from pipeline.inference import Model
from pipeline.models.flops import step_flops
from pipeline.page.weights import pack_weights
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


def build_player(
    model_folder: Path,
    captions: Iterable[str],
    directions: DirectionRules,
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
        return f"The generator {kind} is custom Python code, which a page cannot run. Use `t2v sample`."
    if encoder not in ENCODER_NAMES:
        return f"The caption encoder {encoder} is custom Python code, which a page cannot run. Use `t2v sample`."
    values = sum(value.numel() for value in model.generator.state_dict().values())
    if values > MAX_VALUES:
        return f"The generator has {values / 1e6:.0f} million parameters, too many for a page. Use `t2v sample`."
    z = draw_noise(0, 1, model.generator.z_width)
    # Called directly, since `sample` uses inference mode, in which operations are not counted.
    operations = step_flops(lambda: model.generator(z, pad([(1,)])))
    if operations > MAX_OPERATIONS:
        return f"A clip takes {operations / 1e9:.0f} billion operations, too many for a page. Use `t2v sample`."
    return ""


def _describe(
    model: Model, vocabulary: Vocabulary, directions: DirectionRules, captions: list[str], fps: int
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
