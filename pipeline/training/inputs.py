"""What a training starts from: the products of the stages before it, read and checked."""

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.batches import object_words
from pipeline.data.dataset import ClipSet, read_vectors
from pipeline.distributed.devices import Rank
from pipeline.errors import UserError
from pipeline.params import ClipParams, Loading, LoggingParams, StatesParams, TrainParams
from pipeline.records import VECTORS, Caption, Clip, Split
from pipeline.shards import INDEX, ShardReader
from pipeline.tables import read_table
from pipeline.text.vocabulary import read_vocabulary
from pipeline.training.checkpoints import States, fingerprint
from pipeline.training.loop import Run
from pipeline.training.validation import Validation, open_validation


@dataclass(frozen=True)
class Places:
    """The folders that the stages before have written."""

    labels: Path
    clips: Path
    captions: Path

    @property
    def vectors(self) -> Path:
        """Of the words; absent where they are learned."""
        return self.captions / VECTORS

    def files(self) -> list[Path]:
        """What the result depends on; the index of the shards holds their digests."""
        captions = [self.captions / name for name in ("captions.parquet", "vocabulary.json")]
        paths = [self.labels / "clips.parquet", self.clips / INDEX, *captions]
        return [*paths, self.vectors] if self.vectors.exists() else paths


class Inputs:
    """Labels, captions, shards and vocabulary; raises UserError where they are not there or do not fit `shape`."""

    def __init__(self, places: Places, seed: int, shape: ClipParams, params: TrainParams, loading: Loading) -> None:
        self.places, self.seed, self.shape, self.params, self.loading = places, seed, shape, params, loading
        self.labels = read_table(places.labels / "clips.parquet", Clip)
        self.captions = read_table(places.captions / "captions.parquet", Caption)
        self.vocabulary = read_vocabulary(places.captions / "vocabulary.json")
        self.shards = ShardReader(places.clips)
        if self.shards.shape != (shape.frames, shape.height, shape.width, 3):
            told = f"holds clips of {self.shards.shape}, but `clip` differs"
            raise UserError(f"{places.clips}: {told}; `dvc repro transcode`")
        self.hashed = {"seed": seed, "clip": shape.model_dump(), "train": params.model_dump()}

    def clips(self, split: Split, rank: Rank) -> ClipSet:
        """The clips of a split, for this rank."""
        heard, device = self.params.captions.conditioning, rank.device
        return ClipSet(self.labels, self.captions, self.shards, split, device, heard, self.loading, rank.world)

    def validation(self, rank: Rank) -> Validation | None:
        """What is measured meanwhile, None where there are too few clips."""
        share = self.params.batch_clips // rank.world
        return open_validation(self.seed, self.params, self.labels, self.captions, self.shards, rank.device, share)

    def run(self, clips: ClipSet, states: StatesParams, logging: LoggingParams) -> Run:
        """The training on these clips; its states and its logs are named by all that its result depends on."""
        name = fingerprint(self.hashed, self.places.files())
        folder = Path(os.environ.get("DVC_ROOT", ".")) / "runs" / "training" / name[:12]
        words, given = len(self.vocabulary) - self.vocabulary.unlearned, read_vectors(self.places.vectors)
        trained = {clip.id for clip in clips.clips}
        named = object_words([caption for caption in self.captions if caption.id in trained], words)
        kept, every = States(name, keep=states.keep), states.every_clips
        return Run(self.seed, self.shape, self.params, words, kept, folder, given, named, every, logging)
