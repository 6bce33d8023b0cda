"""`t2v train`: runs the stage `train`, or profiles a few of its steps."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.printing import open_console, print_table
from pipeline.params import load_params
from pipeline.params.base import DEVICES_VARIABLE

if TYPE_CHECKING:
    import torch

    from pipeline.monitoring.throughput import OperationCost

SHOWN = 15  # operations in the table


def train(
    devices: Annotated[str, typer.Option(help="in place of those of the params and T2V_DEVICES: cpu, cpu:2, 0-3")] = "",
    profile: Annotated[bool, typer.Option("--profile", help="trace a few steps instead; writes no model")] = False,
    steps: Annotated[int, typer.Option(min=1, help="to trace, the first with penalties")] = 4,
) -> None:
    """Train as `dvc repro train` does, or trace a few warm steps of that training (--profile).

    The trace is of one process: the first device with its part of the batch. It takes labels, clips and captions as
    they are in data/, and leaves data/ and saved states alone.

    Example: t2v train --devices cpu
    """
    from pipeline.distributed.devices import parse_devices  # torch takes seconds

    found = parse_devices(load_params().devices, devices)  # before other stages have worked for a training in vain
    if devices:
        os.environ[DEVICES_VARIABLE] = devices
    if not profile:  # in place of this process: nobody stands between the terminal, DVC and its stage
        os.execv(sys.executable, [sys.executable, "-m", "dvc", "repro", "train"])
    file, costs = _trace(found, steps)
    console = open_console()
    lines = [[cost.name, f"{cost.calls:g}", f"{1000 * cost.seconds:.2f}", f"{cost.share:.1%}"] for cost in costs]
    print_table(console, ["operation", "calls a step", "ms a step", "share"], lines[:SHOWN])
    whole = 1000 * sum(cost.seconds for cost in costs)
    detail = f"{whole:.1f} ms in {len(costs)} operations; {file} opens in chrome://tracing or ui.perfetto.dev"
    console.print(detail, highlight=False, markup=False)


def _trace(found: "Sequence[torch.device]", steps: int) -> "tuple[Path, list[OperationCost]]":
    from pipeline.data.dataset import DataFolders, Dataset, TrainingSplit
    from pipeline.distributed.devices import Rank, set_up, use_device
    from pipeline.monitoring.throughput import profile_steps
    from pipeline.training.checkpoints import digest_inputs, fingerprint
    from pipeline.training.loop import Trainer, build_run, describe_run

    params = load_params()
    part = Rank(0, len(found), found[0]).share(params.train.batch_clips, params.train.shared_clips)
    rank = Rank(0, 1, found[0])
    use_device(rank.device, sharers=len(found))
    set_up(rank.device, deterministic=params.deterministic)
    dataset = Dataset(DataFolders(Path("data/labels"), Path("data/clips"), Path("data/captions")))
    dataset.require_shape(params.clip)
    conditioning, loading = params.train.captions.conditioning, params.compute.loading
    clips = TrainingSplit(dataset, "train", rank.device, conditioning, loading)
    seed = params.seed if params.training_seed is None else params.training_seed
    run = build_run(dataset, clips, seed, params.clip, params.train)
    alone = params.train.model_copy(update={"batch_clips": part.stop - part.start})
    settings = describe_run(seed, params.clip, params.train)
    name = fingerprint(digest_inputs(settings, dataset.folders.list_files()))
    file = Path("runs") / "profile" / f"{name[:12]}.json"
    return file, profile_steps(Trainer(rank, replace(run, params=alone), clips), steps, file)
