"""Stage `train`: shards of frames uint8 [T,H,W,C] + token ids -> two networks (safetensors) and their history."""

import os
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from pipeline.errors import UserError, run
from pipeline.params import Params, load_params
from pipeline.records import VECTORS, Caption, Clip
from pipeline.shards import INDEX, ShardReader
from pipeline.tables import read_table
from pipeline.text.vocabulary import read_vocabulary
from pipeline.training.allocator import keep_freed_memory
from pipeline.training.batches import ClipSet, object_words
from pipeline.training.devices import Rank, parse_devices, run_on
from pipeline.training.export import read_vectors, save_history, save_model, save_vectors
from pipeline.training.loop import Run, Trainer
from pipeline.training.states import States, fingerprint


@dataclass(frozen=True)
class Places:
    """The files that the stage reads, and the folder that it writes."""

    labels: Path
    clips: Path
    captions: Path
    vocabulary: Path
    vectors: Path  # absent where the words are learned
    out: Path

    def inputs(self) -> list[Path]:
        """What the result depends on; the index of the shards holds their digests."""
        paths = [self.labels, self.clips / INDEX, self.captions, self.vocabulary]
        return [*paths, self.vectors] if self.vectors.exists() else paths


def train_model(rank: Rank, places: Places, params: Params) -> None:
    """Train on this rank; the first one writes the result."""
    keep_freed_memory()
    # Some gradients have no deterministic form on a GPU; there, equal bytes are not promised.
    torch.use_deterministic_algorithms(True, warn_only=rank.device.type == "cuda")
    labels, captions = read_table(places.labels, Clip), read_table(places.captions, Caption)
    shards = ShardReader(places.clips)
    if shards.shape != (params.clip.frames, params.clip.height, params.clip.width, 3):
        raise UserError(f"{places.clips}: holds clips of {shards.shape}, but `clip` differs; `dvc repro transcode`")
    clips = ClipSet(labels, captions, shards, "train", rank.device, params.train.captions.conditioning)
    vocabulary = read_vocabulary(places.vocabulary)
    hashed = {"seed": params.seed, "clip": params.clip.model_dump(), "train": params.train.model_dump()}
    name = fingerprint(hashed, places.inputs())
    states = States(name)
    board = Path(os.environ.get("DVC_ROOT", ".")) / "runs" / "tensorboard" / name[:12]
    with states.locked() if rank.rank == 0 else nullcontext():
        words, given = len(vocabulary) - vocabulary.unlearned, read_vectors(places.vectors)
        trained = {clip.id for clip in clips.clips}
        named = object_words([caption for caption in captions if caption.id in trained], words)
        trainer = Trainer(rank, Run(params.seed, params.clip, params.train, words, states, board, given, named), clips)
        trainer.train()
        if rank.rank == 0:
            description = {**hashed, "vocabulary": asdict(vocabulary), "max_tokens": params.tokenize.max_tokens}
            save_model(places.out, trainer.nets.average, trainer.nets.discriminator, description)
            save_vectors(places.vectors, places.out)
            save_history(places.out, trainer.history)
            states.forget()


def main(
    labels: Path = Path("data/labels"),
    clips: Path = Path("data/clips"),
    captions: Path = Path("data/captions"),
    out: Path = Path("data/model"),
) -> None:
    """Train the conditional video GAN on the devices of params.yaml or T2V_DEVICES."""
    params = load_params(Path("params.yaml"))
    table, vocabulary, vectors = (captions / name for name in ("captions.parquet", "vocabulary.json", VECTORS))
    places = Places(labels / "clips.parquet", clips, table, vocabulary, vectors, out)
    devices = parse_devices(params.devices)
    # Before any process starts:
    Rank(0, len(devices), devices[0]).share(params.train.batch_clips, params.train.group_clips)
    run_on(devices, train_model, places, params)


if __name__ == "__main__":
    run(main)
