"""Stage `train`: shards of frames uint8 [T,H,W,C] + token ids -> networks (safetensors) and their history."""

import os
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.data.dataset import DataFolders, Dataset, TrainingSplit
from pipeline.distributed import Rank, explain_out_of_memory, parse_devices, set_up
from pipeline.distributed.launch import run_on, world_size
from pipeline.errors import run
from pipeline.extensions import digest_references
from pipeline.files import digest_value, write_json
from pipeline.inference import describe_environment, save_model, save_vectors
from pipeline.monitoring.loggers import FixedSamples, RunMonitor
from pipeline.params import Params, load_params
from pipeline.planning import require_fit
from pipeline.planning.dry_run import describe_task
from pipeline.records import PROVENANCE
from pipeline.shards import require_unaltered
from pipeline.source_code import describe_maker
from pipeline.training.checkpoints import Checkpoints, digest_inputs, fingerprint, start_run
from pipeline.training.history import save_history
from pipeline.training.loop import Trainer, build_run, describe_run
from pipeline.training.objectives import check_references
from pipeline.training.validation import open_validation_set

MADE_BY = "stages.train_model"


def train_model(rank: Rank, folders: DataFolders, out: Path, params: Params) -> None:
    """Train on this rank; rank 0 monitors, saves and writes the result."""
    set_up(rank.device, deterministic=params.deterministic)
    dataset = Dataset(folders)
    dataset.require_shape(params.clip)
    seed = params.seed if params.training_seed is None else params.training_seed
    settings = describe_run(seed, params.clip, params.train)
    inputs = digest_inputs(settings, folders.list_files())
    rank.assert_same(inputs)
    conditioning, loading = params.train.captions.conditioning, params.compute.loading
    split = TrainingSplit(dataset, "train", rank.device, conditioning, loading, rank.world)
    training = build_run(dataset, split, seed, params.clip, params.train)
    require_fit(describe_task(training, rank, split.token_ids.shape[1]))
    name, saving = fingerprint(inputs), params.checkpoints
    checkpoints = Checkpoints(name, keep=saving.keep, every_clips=saving.every_clips)
    validation = monitor = None
    if rank.rank == 0:
        share = params.train.batch_clips // rank.world
        validation = open_validation_set(seed, params.train, dataset, rank.device, share)
        logs = Path(os.environ.get("DVC_ROOT", ".")) / "runs" / "training" / name[:12]
        monitor = RunMonitor(rank.device, params.train, params.logging, logs, FixedSamples(seed, split))
    lock = checkpoints.locked() if rank.rank == 0 else nullcontext()
    with lock, explain_out_of_memory(rank, params.train.batch_clips):
        if rank.rank == 0:
            start_run(checkpoints, settings, inputs, saving.keep_runs)
            made = _describe_making(rank, folders, settings)
        trainer = Trainer(rank, training, split, validation, checkpoints, monitor)
        trainer.train()
        if rank.rank == 0:
            shown = trainer.load_exported_weights()
            vocabulary = {"vocabulary": asdict(dataset.vocabulary), "max_tokens": params.tokenize.max_tokens}
            description = {**settings, **vocabulary, "clips": shown}
            save_model(out, trainer.nets.average, trainer.nets.discriminator, description)
            write_json(out / PROVENANCE, made | {"params": digest_value(description)})
            save_vectors(folders.vectors, out)
            save_history(out, trainer.history)
            checkpoints.forget()


def _describe_making(rank: Rank, folders: DataFolders, settings: dict[str, Any]) -> dict[str, Any]:
    """The provenance of a model: code, data, and the machine as far as bytes depend on it.

    Computed before the first step, since files may be edited during the training.
    """
    return {
        **describe_maker(MADE_BY),
        "data": folders.digest(),
        "extensions": digest_references(settings),
        "seed": settings["seed"],
        "environment": {**describe_environment(rank.device), "processes": rank.world},
    }


def main(
    labels: Path = Path("data/labels"),
    clips: Path = Path("data/clips"),
    captions: Path = Path("data/captions"),
    out: Path = Path("data/model"),
) -> None:
    """Train the generator on the devices of params.yaml or T2V_DEVICES."""
    params = load_params(Path("params.yaml"))
    check_references(params.train)
    devices = parse_devices(params.devices)
    # Checked before any process starts:
    train = params.train
    Rank(0, world_size(devices), devices[0]).share(train.batch_clips, train.shared_clips, train.sharing_key)
    require_unaltered(clips)
    run_on(devices, train_model, DataFolders(labels, clips, captions), out, params)


if __name__ == "__main__":
    run(main)
