"""Samples clips for free-text captions: for `t2v sample`, `t2v serve`, and other programs.

    from pipeline.sampling import from_pretrained
    model = from_pretrained("my-model")
    clips = model.sample("pushing a mug from left to right", seed=1, n=4)  # uint8 [4,T,H,W,3]

Nothing here loads torch before a clip needs it.
"""

import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus.captions import normalise_text
from pipeline.errors import UserError
from pipeline.files import read_json, refuse_lfs_pointer
from pipeline.onnx import GraphUnfit, open_graph
from pipeline.records import (
    EXPORTED_DESCRIPTION,
    FIRST_WORD_ID,
    Caption,
    Frames,
    ModelFiles,
    find_model_files,
    select_condition_ids,
)
from pipeline.text.tokenizer import encode
from pipeline.text.vocabulary import parse_vocabulary

if TYPE_CHECKING:
    from pipeline.inference import Model
    from pipeline.onnx import Graph
    from pipeline.text.embeddings import Embeddings

KNOWN_SHOWN = 20  # words of the vocabulary listed in a message


@dataclass(frozen=True, slots=True)
class TypedCaption:
    """A free-text caption, encoded with the vocabulary of a model."""

    caption: Caption
    unknown: tuple[str, ...]  # words that are neither trained nor have a vector
    vectors: NDArray[np.float32] | None  # [N,D]: of untrained words


class VideoModel:
    """The model in `folder`, for sampling clips of free-text captions.

    Uses the model's ONNX graph, if there is one, without loading torch. Uses torch with `exact`, with `steps` or
    `guidance` (of a model trained by flow; by default those of its export), and for captions with an untrained word
    that has a vector. Raises UserError if the folder has no complete model.
    """

    def __init__(
        self, folder: Path, *, exact: bool = False, steps: int | None = None, guidance: float | None = None
    ) -> None:
        if not folder.is_dir():
            raise UserError(
                f"{folder}: no such folder; `dvc repro train` creates data/model, `t2v export` other folders"
            )
        self._folder, self._files = folder, find_model_files(folder)
        _check_files(self._files)
        self._steps, self._guidance = steps, guidance
        self._graph = None if exact or steps is not None or guidance is not None else self._open_graph()
        self.description: dict[str, Any] = (
            read_json(self._files.description, "`dvc repro train` creates it")
            if self._graph
            else self._model.description
        )
        self.vocabulary = parse_vocabulary(self.description["vocabulary"], self._files.description)
        self._max_tokens = int(self.description["max_tokens"])

    def sample(self, caption: str, *, seed: int = 0, n: int = 1) -> Frames:
        """Clips for a caption -> uint8 [n,T,H,W,3]; deterministic in `seed`, a whole number of Python or NumPy from 0.

        Clip i depends on n by rounding only. Raises UserError for a caption without words, with too many, or with no
        known word, and for a seed or an n that is no whole number from 0.
        """
        return self.draw(self.encode(caption), seed, n)

    def encode(self, text: str) -> TypedCaption:
        """Encode a caption with the vocabulary and the vectors of the model. Raises UserError as `sample` does."""
        text, vocabulary, vectors = normalise_text(text), self.vocabulary, None
        encoded = encode(text, vocabulary, self._max_tokens)
        if encoded.unknown and self._embeddings:
            from pipeline.text.embeddings import extend_vocabulary

            vocabulary, vectors = extend_vocabulary(encoded.unknown, vocabulary, self._embeddings)
            encoded = encode(text, vocabulary, self._max_tokens)
        if len(encoded.unknown) == len(set(encoded.caption.tokens)):
            words = self.vocabulary.words[FIRST_WORD_ID:]
            known = ", ".join(words[:KNOWN_SHOWN]) + (" …" if len(words) > KNOWN_SHOWN else "")
            raise UserError(f"the model knows none of the words in {text!r}; known words: {known}")
        return TypedCaption(encoded.caption, encoded.unknown, vectors if vectors is not None and len(vectors) else None)

    def load_words(self) -> None:
        """Load what `encode` needs now, not at the first caption that needs it. Raises UserError if it is broken."""
        encode(self.vocabulary.words[FIRST_WORD_ID], self.vocabulary, self._max_tokens)
        _ = self._embeddings

    def draw(self, typed: TypedCaption, seed: int, count: int, advance: Callable[[], None] = lambda: None) -> Frames:
        """Clips of an encoded caption -> uint8 [count,T,H,W,3]; `advance` is called after each."""
        seed, count = _require_whole("seed", seed), _require_whole("n", count)
        clips = np.empty((count, *self.shape), np.uint8)
        drawn = 0
        for part in self._draw_parts(typed, seed, count):
            clips[drawn : drawn + len(part)] = part
            drawn += len(part)
            for _ in part:
                advance()
        return clips

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, H, W, 3) of a clip."""
        clip = self.description["clip"]
        return clip["frames"], clip["height"], clip["width"], 3

    def _draw_parts(self, typed: TypedCaption, seed: int, count: int) -> Iterator[Frames]:
        """The clips of one pass of the generator at a time."""
        if graph := self._choose_graph(typed):
            ids = select_condition_ids(typed.caption, self.description["train"]["captions"]["conditioning"])
            for first in range(count):
                yield self._sample_graph(graph, ids, seed, first)
            return
        from pipeline.data.sampler import draw_noise
        from pipeline.inference import BATCH_CLIPS, sample

        if typed.vectors is not None:
            self._model.add_words(typed.vectors)
        ids = self._model.condition(typed.caption)
        for first in range(0, count, BATCH_CLIPS):
            z = draw_noise(seed, min(BATCH_CLIPS, count - first), self._model.generator.z_width, first)
            yield sample(self._model, [ids] * len(z), z)

    def _sample_graph(self, graph: "Graph", ids: Sequence[int], seed: int, first: int) -> Frames:
        """One clip by the graph. Raises UserError if it does not run, for example for lack of memory."""
        try:
            return graph.sample(ids, seed, 1, first)
        except GraphUnfit as reason:
            raise UserError(f"{self._files.graph}: {reason}; without it, or with --exact, torch is used") from None

    def provenance(self, typed: TypedCaption) -> dict[str, Any]:
        """What identifies this model, its sampling params and the environment; with the graph, its runtime too."""
        if graph := self._choose_graph(typed):
            return graph.about | {"runtime": "onnxruntime", "environment": graph.describe_environment()}
        return self._model.provenance()

    def _choose_graph(self, typed: TypedCaption) -> "Graph | None":
        """The graph if it is used for this caption; None: torch is used."""
        return self._graph if typed.vectors is None else None

    @cached_property
    def _model(self) -> "Model":
        """The torch model. Raises UserError if steps or guidance are given for a model not trained by flow."""
        from pipeline.inference import Model

        model = Model(self._folder)
        if model.flow is not None:
            model.flow.steps = model.flow.steps if self._steps is None else self._steps
            model.flow.guidance = model.flow.guidance if self._guidance is None else self._guidance
        elif self._steps is not None or self._guidance is not None:
            raise UserError("--steps and --guidance are for flow models; this model generates clips in a single pass")
        return model

    @cached_property
    def _embeddings(self) -> "Embeddings | None":
        """The pretrained vectors, also of untrained words; None if vectors are learned."""
        if not self._files.vectors.exists():
            return None
        from pipeline.text.embeddings import read_embeddings

        return read_embeddings(self._files.vectors)

    def _open_graph(self) -> "Graph | None":
        """The graph beside the model; None, with a note if it is not of this model, so that torch is used."""
        try:
            return open_graph(self._files)
        except GraphUnfit as reason:
            remedy = "repeat `t2v export`" if self._files.exported else "`dvc repro export` recreates it"
            print(f"note: using torch instead of {self._files.graph}: {reason}; {remedy}", file=sys.stderr)
            return None


def _require_whole(name: str, value: int) -> int:
    """The value as Python's int: noise is derived from its text, and NumPy writes numbers in another way."""
    try:
        number = int(operator.index(value))  # of a bool, too
    except TypeError:
        number = -1
    if number < 0:
        raise UserError(f"{name} is {value!r}, not a whole number from 0")
    return number


def _check_files(files: ModelFiles) -> None:
    """Raise UserError if a file of the model is missing, a folder, or a Git LFS pointer."""
    if not files.description.exists():
        detail = f"no such file, and no {EXPORTED_DESCRIPTION}"
        raise UserError(
            f"{files.description}: {detail}; `dvc repro train` creates data/model, `t2v export` other folders"
        )
    for path in (files.description, files.weights):
        if not path.is_file():
            raise UserError(f"{path}: no such file; {files.remedy}")
        refuse_lfs_pointer(path)


def from_pretrained(folder: str | Path, *, exact: bool = True) -> VideoModel:
    """The model in a folder written by `t2v export` or the stage `train`, sampled by torch.

    With `exact=False` its ONNX graph, if there is one, is used: it starts faster, and is equal within one grey level.
    Raises UserError if the folder has no model.
    """
    return VideoModel(Path(folder), exact=exact)


def write_clips(
    path: Path, frames: Frames, caption: str, seed: int, *, scale: int, fps: int, provenance: dict[str, Any]
) -> None:
    """Write the clips of a caption in the format of the suffix of `path`, with the request in their provenance."""
    from pipeline.rendering import Block, Row, Window
    from pipeline.rendering.export import export_samples

    windows = [Window(str(number), clip) for number, clip in enumerate(frames, 1)]
    asked = {"caption": caption, "seed": seed, "n": len(frames), "scale": scale, "fps": fps}
    rows = [Row(caption, [Block(f"seed {seed}", windows)])]
    export_samples(rows, path, scale=scale, fps=fps, provenance=provenance | asked)
