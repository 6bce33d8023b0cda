"""The records that stages exchange: labels of clips, captions, dropped items; and the file names of a model.

Frames are uint8 `[T,H,W,C]`, RGB, 0..255 on disk. In training they are float `[B,C,T,H,W]` in [-1,1]; only
`pipeline/data/dataset.py` converts between the two.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.files import digest_value, read_json
from pipeline.letters import find_words, spell_symbols

Frames = NDArray[np.uint8]  # [T,H,W,C], RGB
Real = TypeVar("Real", np.float32, np.float64)

# (label, total) -> a context that yields a function to call after each of `total` items
Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]

Split = Literal["train", "judge", "val", "test", "test_pairs", "test_words"]
SPLITS: tuple[Split, ...] = get_args(Split)
HELD_OUT: tuple[Split, ...] = ("test_pairs", "test_words")  # with objects or pairs that training never shows
DIRECTION_RULES = "directions.json"  # the rules for directions, beside clips.parquet
VECTORS = "vectors.safetensors"  # word vectors, beside the captions and the model; absent if learned

PAD_ID, UNKNOWN_ID, FIRST_WORD_ID = 0, 1, 2  # token ids: padding, unknown word, first known word

# Tables with other columns than the products beside them are in subfolders, so that *.parquet is the product.
DROPS = "dropped/dropped.parquet"
CORRECTIONS = "corrections/corrections.parquet"
SIGNATURES = "signatures/signatures.parquet"

Reason = Literal[
    # filter
    "other_category",
    "object_form",
    "other_object",
    "excluded_object",
    "few_clips_of_object",
    "beyond_object_limit",
    "beyond_clip_limit",
    "unusable_id",
    "unusable_label",
    "unusable_path",
    "unusable_segment",
    "missing_video",
    "empty_video",
    "unusable_video",
    "other_split",
    "near_duplicate",
    # transcode
    "undecodable",
    "decoder_hung",
    "decoder_died",
    "invalid_answer",
    "too_short",
    "outside_video",
    # tokenize
    "no_words",
    "too_many_tokens",
    "rare_word",
    "no_known_word",
]
REASONS: tuple[Reason, ...] = get_args(Reason)

SLOT = re.compile(r"\[([^\]]*)\]")
PLAIN_SLOT = re.compile(r"\b(something)\b", re.IGNORECASE)  # in a template written without brackets

GENERATOR, DISCRIMINATOR, DESCRIPTION = "generator.safetensors", "discriminator.safetensors", "model.json"
EXPORTED_GENERATOR, EXPORTED_DESCRIPTION = "model.safetensors", "config.json"  # as the Hugging Face hub names them
PROVENANCE = "provenance.json"  # of a model or an evaluation
GRAPH = "generator.onnx"
GRAPHS, EXPORT_REPORT = "onnx", "report.json"  # the output folder of the stage `export`, beside that of the model
SAMPLING = "sampling"  # key of the default steps and guidance, in the files that exports write


@contextmanager
def no_progress(_label: str, _total: int) -> Iterator[Callable[[], None]]:
    """Show no progress."""
    yield lambda: None


@dataclass(frozen=True, slots=True)
class Clip:
    """A chosen clip: a row of `clips.parquet`."""

    id: str
    caption: str  # cleaned of extra white space and stray characters
    original: str  # the caption before cleaning
    category: str  # slug of the template: pushing-something-from-left-to-right
    template: str  # as the dataset writes it
    objects: tuple[str, ...]  # the fillers of the slots, lower case, without article: ("rubber duck",)
    split: Split
    video: str  # file name, relative to `dataset.videos`
    digest: str  # SHA-256 of the video file, computed by `filter`
    mirrored: bool  # frames are flipped, caption and category adapted
    start: float = 0.0  # of the clip within the video, in seconds from the first frame
    end: float = math.inf  # exclusive, in seconds; infinite: the end of the video
    group: str = ""  # clips of one group are in one split
    moves: str = ""  # direction of motion: left, right, up, down, `up left` ...; still; empty: unknown

    @property
    def part(self) -> str:
        """The clip's range within the video as text, in seconds: `1.5-3.25`; empty for the whole video."""
        if self.start == 0 and math.isinf(self.end):
            return ""
        return f"{self.start:.10g}-{'end' if math.isinf(self.end) else format(self.end, '.10g')}"


@dataclass(frozen=True, slots=True)
class Caption:
    """A tokenized caption: a row of `captions.parquet`."""

    id: str
    text: str
    tokens: tuple[str, ...]  # L tokens, lower case
    token_ids: tuple[int, ...]  # ids in the vocabulary; 0 is padding, 1 is <unk>
    slots: tuple[int, ...]  # per token: 0 = action, n = n-th object, -n = article of the n-th object

    @property
    def action_tokens(self) -> tuple[str, ...]:
        return tuple(token for token, slot in zip(self.tokens, self.slots, strict=True) if slot == 0)

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The ids of the words of all objects in order, without articles; empty if the caption names none."""
        return tuple(number for number, slot in zip(self.token_ids, self.slots, strict=True) if slot > 0)


def select_condition_ids(caption: Caption, conditioning: str) -> tuple[int, ...]:
    """The token ids of a caption that condition the networks: of the whole `caption`, or of the `object` words only.

    All of them if the caption names no object.
    """
    return caption.token_ids if conditioning == "caption" else caption.object_ids or caption.token_ids


@dataclass(frozen=True, slots=True)
class Correction:
    """A corrected spelling: a row of `corrections.parquet`."""

    written: str
    meant: str
    count: int  # in the captions of all splits
    distance: int  # letters deleted, inserted, substituted or swapped with the next


@dataclass(frozen=True, slots=True)
class Signature:
    """The perceptual signature of a row of the shards: a row of `signatures.parquet`."""

    id: str
    grey: str  # 5 frames of 8x8 cells of grey, a byte each, in base64


@dataclass(frozen=True, slots=True)
class Drop:
    """A dropped item: a row of `dropped.parquet`."""

    id: str
    reason: Reason
    detail: str


def average_directions(vectors: Iterable[NDArray[Real]]) -> NDArray[Real] | None:
    """The normalised mean [D] of the unit vectors of vectors [D]; None without any, or if they cancel out."""
    mean: NDArray[Real] = np.sum([vector / np.linalg.norm(vector) for vector in vectors], axis=0)
    length = np.linalg.norm(mean)
    return mean / length if length else None


@cache
def slugify(template: str) -> str:
    """The name of a template in params: `Pushing [something] up` -> `pushing-something-up`. Idempotent.

    Brackets, case and punctuation are ignored, so both notations of a template have the same slug. Symbols are spelled
    out: `C++` -> `c-plus-plus`, `-1` -> `minus-1`. Empty if the template has no letter, digit or symbol.
    """
    plain = spell_symbols(unicodedata.normalize("NFKC", template)).lower()
    plain = re.sub("['’]", "", unicodedata.normalize("NFKC", plain))  # noqa: RUF001
    return "-".join(find_words(unicodedata.normalize("NFKC", plain)))


def split_template(template: str) -> tuple[list[str], list[str]]:
    """The texts around the slots of a template, one more than there are slots, and the names of the slots."""
    pieces = (SLOT if SLOT.search(template) else PLAIN_SLOT).split(template)
    return pieces[::2], pieces[1::2]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The paths of the files of a model, which need not exist."""

    weights: Path
    description: Path
    vectors: Path  # of words; absent if they are learned
    graph: Path  # the same generator as ONNX; may be absent
    sampling: Path  # JSON with the default steps and guidance under the key SAMPLING; both may be absent

    @property
    def exported(self) -> bool:
        """Whether `t2v export` made them, and not the stages."""
        return self.description.name == EXPORTED_DESCRIPTION

    @property
    def remedy(self) -> str:
        """What to do about weights or a description that are absent or damaged."""
        return "download the folder again, or repeat `t2v export`" if self.exported else "run `dvc repro -f train`"


def find_model_files(folder: Path) -> ModelFiles:
    """The files of the model in a folder, which is an exported one if it has a config.json."""
    if (folder / EXPORTED_DESCRIPTION).exists():
        weights, description, graphs = EXPORTED_GENERATOR, EXPORTED_DESCRIPTION, folder
        sampling = folder / EXPORTED_DESCRIPTION
    else:
        weights, description, graphs = GENERATOR, DESCRIPTION, folder.absolute().parent / GRAPHS
        sampling = graphs / EXPORT_REPORT
    return ModelFiles(folder / weights, folder / description, folder / VECTORS, graphs / GRAPH, sampling)


def digest_description(description: Any) -> str:
    """SHA-256 of the description of a model, in hex: the same for the model of a run and for its export."""
    if isinstance(description, Mapping):
        description = {name: value for name, value in description.items() if name != SAMPLING}
    return digest_value(description)


def read_exported_sampling(files: ModelFiles) -> dict[str, Any]:
    """The steps and the guidance that a model was last exported with, unchecked; empty if it was not."""
    written = read_json(files.sampling, "repeat the export") if files.sampling.exists() else {}
    found = written.get(SAMPLING, {}) if isinstance(written, dict) else {}
    return found if isinstance(found, dict) else {SAMPLING: found}
