"""The parts of the page that have scripts of their own: the generator, and the blind test.

The player generates a clip for any caption without a server. In the blind test, users pick the real clip of pairs of a
real and a generated one with the same caption. The scripts in `player/` are plain JavaScript in a shared scope. Those
of the worker run the generator, so that the page stays responsive; the others are the user interface. All are inlined,
so that the page can be opened from a file.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from pipeline.data.dataset import DataFolders, Dataset, open_directions, pad
from pipeline.data.sampler import derive_seed, draw_noise
from pipeline.directions import DirectionRules
from pipeline.errors import UserError
from pipeline.files import digest_value
from pipeline.inference import Model, sample
from pipeline.models.flops import step_flops
from pipeline.page.run import Run, read_sampling
from pipeline.page.strips import encode_strip
from pipeline.page.weights import pack_weights
from pipeline.params import SamplingParams
from pipeline.params.training import ENCODER_NAMES, GENERATORS
from pipeline.records import DESCRIPTION, DIRECTION_RULES, GENERATOR, Clip, Frames
from pipeline.rendering.contact_sheet import order_round_robin
from pipeline.shards import INDEX
from pipeline.tables import iterate_table
from pipeline.text.tokenizer import encode
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

SOURCES = Path(__file__).parent / "player"

MAX_CAPTIONS = 200  # in the selection

PAIRS = 20
SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class Widget:
    """Visible markup `html`, and the texts of a `style` and a `script` element.

    `data` are elements for the end of the body, before the script. If the widget is not available, `reason` says why,
    as plain text.
    """

    html: str
    style: str = ""
    data: str = ""
    script: str = ""
    reason: str = ""


def _explain_missing(reason: str) -> Widget:
    """A widget that only shows why it is not available."""
    return Widget(f"<p>{mark_code(reason)}</p>\n", reason=reason)


def mark_code(text: str) -> Markup:
    """Plain text as markup, in which commands between backticks are set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def read_source(name: str) -> str:
    """A file in the folder of scripts."""
    return (SOURCES / name).read_text(encoding="utf-8")


def read_scripts(names: Iterable[str]) -> str:
    """Scripts joined into one, in a separate scope."""
    texts = [read_source(f"{name}.js") for name in names]
    return "(() => {\n" + '"use strict";\n' + "\n".join(texts) + "})();\n"


def embed(name: str, kind: str, text: str) -> str:
    """An element with data."""
    return f'<script id="{name}" type="{kind}">\n{text}</script>\n'


def embed_json(value: Any) -> Markup:
    """JSON that is safe inside a script element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.translate({ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}))


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
        return _explain_missing(reason)
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


@dataclass(frozen=True, slots=True)
class Pair:
    """A caption, its two clips uint8 [T,H,W,3], and the side of the real one."""

    caption: str
    real: Frames
    generated: Frames
    side: str


def build_blind_test(
    folders: DataFolders, model_folder: Path, seed: int, fps: int, sampling: SamplingParams | None = None
) -> Widget:
    """The test of a trained model against real clips of the split `test`, with as many captions as possible.

    Equal runs give equal bytes. Raises UserError if data or model are missing.
    """
    dataset, model = Dataset(folders), Model(model_folder, sampling)
    rows = _choose_rows(dataset, np.random.default_rng(derive_seed(seed, "blind test")))
    if not rows:
        return _explain_missing("There is no blind test: the test split has no clip with frames and a caption.")
    pairs = draw_pairs(dataset, model, rows, seed)
    frames = pairs[0].real
    shown = [
        {"caption": pair.caption, "real": pair.side, **dict(zip(SIDES, _encode(pair), strict=True))} for pair in pairs
    ]
    test = {
        "test": digest_value([shown, model.digest])[:16],
        "clip": {"frames": frames.shape[0], "height": frames.shape[1], "width": frames.shape[2]},
        "fps": fps,
        "pairs": shown,
    }
    data = embed("blind-pairs", "application/json", embed_json(test))
    script = read_scripts(("files", "blind_test"))
    return Widget(read_source("blind_test.html"), read_source("blind_test.css"), data, script)


def draw_pairs(dataset: Dataset, model: Model, rows: Sequence[int], seed: int) -> list[Pair]:
    """A pair for each row, with noise that is used nowhere else."""
    clips, real = dataset.clips(rows), dataset.frames(rows)
    captions = [dataset.captions[clip.id] for clip in clips]
    own = derive_seed(seed, "blind test")
    generated = sample(
        model, [model.condition(caption) for caption in captions], draw_noise(own, len(rows), model.generator.z_width)
    )
    sides = np.random.default_rng(own).integers(0, len(SIDES), len(rows))
    drawn = zip(captions, real, generated, sides, strict=True)
    return [Pair(caption.text, one, other, SIDES[side]) for caption, one, other, side in drawn]


def _choose_rows(dataset: Dataset, rng: np.random.Generator) -> list[int]:
    """Shuffled rows of the split, with all captions once before any is repeated."""
    rows = dataset.rows("test")
    shuffled = [rows[index] for index in rng.permutation(len(rows))]
    return order_round_robin(shuffled, [clip.caption for clip in dataset.clips(shuffled)])[:PAIRS]


def _encode(pair: Pair) -> tuple[str, str]:
    """Both clips as image strips, left then right."""
    clips = (pair.real, pair.generated) if pair.side == SIDES[0] else (pair.generated, pair.real)
    left, right = (encode_strip(frames, "").source for frames in clips)
    return left, right


def open_widget(run: Run, fps: int, build: Callable[[Run, int], Widget | None]) -> Widget | None:
    """The widget of a run; if its model cannot be opened, for example of an earlier version, the reason."""
    try:
        return build(run, fps)
    except UserError as error:
        return _explain_missing(str(error))


def _open_player(run: Run, fps: int) -> Widget | None:
    """The generator of the run with its most frequent captions; None if there is no model. Raises UserError."""
    folders = run.folders
    if not (folders.model / GENERATOR).is_file():
        return None
    table, rules = folders.labels / "clips.parquet", folders.labels / DIRECTION_RULES
    counts = Counter(clip.caption for clip in iterate_table(table, Clip)) if table.is_file() else Counter()
    captions = sorted(counts, key=lambda caption: (-counts[caption], caption))[:MAX_CAPTIONS]
    directions = open_directions(rules) if rules.is_file() else DirectionRules()
    return build_player(folders.model, sorted(captions), directions, fps, read_sampling(run))


def _open_blind_test(run: Run, fps: int) -> Widget | None:
    """Pairs of real and generated clips; None if there is no model, or no data. Raises UserError."""
    folders = run.folders
    data = DataFolders(folders.labels, folders.clips, folders.captions)
    needed = (folders.model / GENERATOR, data.labels / "clips.parquet", data.clips / INDEX)
    if not all(path.is_file() for path in (*needed, data.captions / "captions.parquet")):
        return None
    seed = run.settings.get("seed")
    return build_blind_test(data, folders.model, seed if isinstance(seed, int) else 0, fps, read_sampling(run))


WIDGETS = {"player": _open_player, "blind_test": _open_blind_test}
