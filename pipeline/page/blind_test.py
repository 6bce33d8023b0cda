"""A blind test: pairs of a real and a generated clip with the same caption; users pick the real one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.dataset import DataFolders, Dataset
from pipeline.data.sampler import derive_seed, draw_noise
from pipeline.files import digest_value
from pipeline.inference import Model, sample
from pipeline.page.strips import encode_strip
from pipeline.page.widget import Widget, embed, embed_json, explain_missing, read_scripts, read_source
from pipeline.params import SamplingParams
from pipeline.records import Frames
from pipeline.rendering.contact_sheet import order_round_robin

PAIRS = 20
SIDES = ("left", "right")


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
        return explain_missing("There is no blind test: the test split has no clip with frames and a caption.")
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
