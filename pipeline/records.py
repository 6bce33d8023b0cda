"""What the stages hand to each other: one clip's label, its caption, why a clip was left out, and the files of a model.

Frames are uint8 `[T,H,W,C]`, RGB, 0..255 on disk. In training they are float `[B,C,T,H,W]` in [-1,1]; the
two conversions live in `pipeline/data/dataset.py` and nowhere else.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.letters import find_words, spell_symbols

Frames = NDArray[np.uint8]  # [T,H,W,C], RGB

# (label, total) -> a context that yields a function to call after each of `total` items
Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]

Split = Literal["train", "judge", "val", "test", "test_pairs", "test_words"]
SPLITS: tuple[Split, ...] = get_args(Split)
DIRECTIONS = "directions.json"  # what captions say of directions, beside the chosen clips
VECTORS = "vectors.safetensors"  # of words, beside the captions and beside the model; absent where they are learned

PAD_ID, UNKNOWN_ID, FIRST_WORD_ID = 0, 1, 2  # token ids: of padding, of an unknown word, of the first known one

# Tables with other columns than the product beside them: in folders of their own, so that *.parquet is the product.
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
    "decoder_lied",
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
PROVENANCE = "provenance.json"  # what made a model, or an evaluation
GRAPH = "generator.onnx"
GRAPHS = "onnx"  # the folder beside that of a model which the stage `export` writes


@contextmanager
def no_progress(_label: str, _total: int) -> Iterator[Callable[[], None]]:
    """Show no progress."""
    yield lambda: None


@dataclass(frozen=True, slots=True)
class Clip:
    """One chosen clip: a row of `clips.parquet`."""

    id: str
    caption: str  # as the dataset has it, white space and stray characters cleaned
    original: str  # the caption before cleaning, letter for letter
    category: str  # slug of the template: pushing-something-from-left-to-right
    template: str  # the template as the dataset writes it
    objects: tuple[str, ...]  # what fills the slots, lower case, without article: ("rubber duck",)
    split: Split
    video: str  # file name, relative to `dataset.videos`
    digest: str  # SHA-256 of the video file while filtering
    mirrored: bool  # its frames are flipped, and its caption and category say so
    start: float = 0.0  # of the part of the video that is the clip, in seconds from the first frame
    end: float = math.inf  # outside the part; infinite: to the end of the video
    group: str = ""  # clips of one group are in one split
    moves: str = ""  # which way the picture moves: left, right, up, down, `up left` ...; still: none; empty: unknown

    @property
    def part(self) -> str:
        """The part of the video that is the clip, as text in seconds: `1.5-3.25`; empty for the whole of it."""
        if self.start == 0 and math.isinf(self.end):
            return ""
        return f"{self.start:.10g}-{'end' if math.isinf(self.end) else format(self.end, '.10g')}"


@dataclass(frozen=True, slots=True)
class Caption:
    """One tokenized caption: a row of `captions.parquet`."""

    id: str
    text: str
    tokens: tuple[str, ...]  # L tokens, lower case
    token_ids: tuple[int, ...]  # the same as ids into the vocabulary; 0 is padding, 1 is <unk>
    slots: tuple[int, ...]  # of each token: 0 = of the action, n = of the n-th object, -n = an article before it

    @property
    def action_tokens(self) -> tuple[str, ...]:
        return tuple(token for token, slot in zip(self.tokens, self.slots, strict=True) if slot == 0)

    @property
    def action_ids(self) -> tuple[int, ...]:
        return tuple(number for number, slot in zip(self.token_ids, self.slots, strict=True) if slot == 0)

    @property
    def object_tokens(self) -> tuple[str, ...]:
        """The words of all objects in order, without their articles; empty where the caption names none."""
        return tuple(token for token, slot in zip(self.tokens, self.slots, strict=True) if slot > 0)

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(number for number, slot in zip(self.token_ids, self.slots, strict=True) if slot > 0)


def select_condition_ids(caption: Caption, conditioning: str) -> tuple[int, ...]:
    """The token ids of a caption that condition the networks: of the whole `caption`, or of its `object` alone.

    All of them where it names no object.
    """
    return caption.token_ids if conditioning == "caption" else caption.object_ids or caption.token_ids


@dataclass(frozen=True, slots=True)
class Correction:
    """One word that was taken for another one misspelt: a row of `corrections.parquet`."""

    written: str
    meant: str
    count: int  # how often it was corrected, in the captions of all splits
    distance: int  # letters left out, added, exchanged or swapped with the next one


@dataclass(frozen=True, slots=True)
class Signature:
    """What near-duplicates are found by: a row of `signatures.parquet`, for each row of the shards."""

    id: str
    grey: str  # 5 frames of 8x8 cells of grey, a byte each, in base64


@dataclass(frozen=True, slots=True)
class Drop:
    """One item left out: a row of `dropped.parquet`."""

    id: str
    reason: Reason
    detail: str


@cache
def slugify(template: str) -> str:
    """A template's name for params: `Pushing [something] up` -> `pushing-something-up`. A slug's slug is itself.

    Brackets, case and punctuation do not count, so both ways to write a template have one slug. Symbols count by their
    names: `C++` -> `c-plus-plus`, `-1` -> `minus-1`. Empty where the template holds neither a letter nor a digit nor
    a symbol.
    """
    plain = spell_symbols(unicodedata.normalize("NFKC", template)).lower()
    plain = re.sub("['’]", "", unicodedata.normalize("NFKC", plain))  # noqa: RUF001
    return "-".join(find_words(unicodedata.normalize("NFKC", plain)))


def split_template(template: str) -> tuple[list[str], list[str]]:
    """The texts around the slots of a template, one more than it has slots, and the names of the slots."""
    pieces = (SLOT if SLOT.search(template) else PLAIN_SLOT).split(template)
    return pieces[::2], pieces[1::2]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where the parts of a generator are; that a file is named does not say that it exists."""

    weights: Path
    description: Path
    vectors: Path  # of words; absent where the generator has learned them
    graph: Path  # the same generator as ONNX; may be absent

    @property
    def exported(self) -> bool:
        """Whether `t2v export` made them, and not the stages."""
        return self.description.name == EXPORTED_DESCRIPTION

    @property
    def remedy(self) -> str:
        """What to do about weights or a description that are absent or damaged."""
        return "download the folder again, or repeat `t2v export`" if self.exported else "run `dvc repro -f train`"


def find_model_files(folder: Path) -> ModelFiles:
    """The files of the model in a folder: of an exported one where it holds a config.json."""
    if (folder / EXPORTED_DESCRIPTION).exists():
        weights, description, graph = EXPORTED_GENERATOR, EXPORTED_DESCRIPTION, folder / GRAPH
    else:
        weights, description, graph = GENERATOR, DESCRIPTION, folder.absolute().parent / GRAPHS / GRAPH
    return ModelFiles(folder / weights, folder / description, folder / VECTORS, graph)
