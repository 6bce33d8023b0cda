"""`t2v plan`, `t2v train`: the needs of a training before it starts; a training, or a profile of a few steps."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipeline.cli.commands import JsonOption
from pipeline.cli.printing import open_console, print_table
from pipeline.cli.recipe import complete_recipe, load_recipe
from pipeline.errors import UserError, naming, spell_count
from pipeline.params import Params, load_params
from pipeline.params.base import DEVICES_VARIABLE

if TYPE_CHECKING:
    import torch

    from pipeline.monitoring.throughput import StepProfile
    from pipeline.planning import TrainingPlan

PROFILES = Path("runs/profile")
PROFILED = 4  # steps
SHOWN = 15  # operations in the table
LONGEST = 3600  # seconds of measured steps, at most
UNDISTURBED = 0.9  # CPU time over wall time of a training on an idle machine


def plan(
    params: Annotated[Path, typer.Option(help="a params file")] = Path("params.yaml"),
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="a recipe instead of a params file, such as ssv2-64", autocompletion=complete_recipe
        ),
    ] = "",
    devices: Annotated[
        str, typer.Option(help="such as cpu, cpu:2 or 0-3 [default: T2V_DEVICES, or else `devices` of the params]")
    ] = "",
    seconds: Annotated[
        float, typer.Option(min=0, max=LONGEST, help="approximate time for measuring steps; 0: as few as possible")
    ] = 20.0,
    as_json: JsonOption = False,
) -> None:
    """Predict the memory, FLOPs and hours of a training, and the largest batch that fits.

    Steps are measured on the first device with random clips, so no data is needed. If a full batch would take too
    long, steps have fewer clips, and times are extrapolated.

    Example: t2v plan --devices cpu --seconds 5
    """
    read = load_recipe(recipe) if recipe else load_params(params)
    from pipeline.data.dataset import DataFolders
    from pipeline.distributed import Rank, parse_devices
    from pipeline.planning import plan_training  # imports torch, which takes seconds

    found = parse_devices(read.devices, devices)
    Rank(0, len(found), found[0]).share(read.train.batch_clips, read.train.shared_clips, read.train.sharing_key)
    folders = DataFolders(Path("data/labels"), Path("data/clips"), Path("data/captions"))
    if seconds:
        print(f"measuring steps for about {seconds:g} s", file=sys.stderr, flush=True)
    planned = plan_training(read, found, folders, seconds)
    if as_json:
        print(json.dumps(asdict(planned), indent=2))
    else:
        show(planned, read)


def show(planned: "TrainingPlan", params: Params) -> None:
    """Print a plan."""
    console = open_console()
    shape, batch = params.clip, params.train.batch_clips
    size = f"{shape.frames} frames of {shape.height}x{shape.width}"
    _say(console, f"clips of {size}, batches of {batch}, on {', '.join(planned.devices)}", planned.data)
    print_table(console, ["network", "parameters"], [[name, f"{n:,}"] for name, n in planned.parameters.items()])
    _show_memory(planned, console)
    _show_costs(planned, params, console)


def _show_memory(planned: "TrainingPlan", console: Console) -> None:
    memory, measured = planned.memory, planned.measured
    lines = {
        "weights of generator, averaged generator, discriminator": memory.weights,
        "optimizer state": memory.optimiser,
        "largest step: activations, gradients, clips of the batch": memory.step,
        "workspaces and memory held by the allocator": memory.scratch,
        "training clips on the device": memory.data,
        "total": memory.needed,
        "available (90 % of free)": memory.available,
    }
    print_table(console, ["memory per device", "GB"], [[name, f"{n / 1e9:,.2f}"] for name, n in lines.items()])
    if measured is not None:
        gigabytes = f"{measured.memory / 1e9:.2f} GB, estimated {measured.estimated / 1e9:.2f} GB"
        _say(console, f"measured with {spell_count(measured.clips, 'clip')} per step: {gigabytes}")
    fits = "fits" if memory.fits else "DOES NOT FIT"
    _say(
        console,
        f"a batch of {memory.batch} {fits}; "
        f"the largest that fits has about {spell_count(memory.largest_batch, 'clip')}",
    )


def _show_costs(planned: "TrainingPlan", params: Params, console: Console) -> None:
    costs, measured = planned.arithmetic, planned.measured
    seconds = [f"{measured.plain:.3f}", f"{measured.penalised:.3f}"] if measured is not None else ["", ""]
    every = params.train.penalty_every
    lines = [
        ["generator forward", f"{costs.generator / 1e9:,.2f}", ""],
        ["discriminator forward", f"{costs.discriminator / 1e9:,.2f}", ""],
        ["training step without penalties", f"{costs.plain / 1e9:,.2f}", seconds[0]],
        ["training step with penalties", f"{costs.penalised / 1e9:,.2f}", seconds[1]],
        [f"average step, with penalties every {spell_count(every, 'step')}", f"{costs.average / 1e9:,.2f}", ""],
    ]
    if params.train.method == "flow":
        sampling = f"sampling in {spell_count(params.train.flow.sample_steps, 'step')}"
        lines = [[sampling, *lines[0][1:]], ["training step", *lines[2][1:]]]
    print_table(console, ["per clip", "GFLOP", "seconds per step"], lines)
    if measured is None:
        return
    if measured.clips * len(planned.devices) < params.train.batch_clips:
        _say(console, f"seconds are extrapolated from steps of {spell_count(measured.clips, 'clip')}")
    _say(
        console,
        f"{measured.clips_per_second:,.2f} clips/s, {measured.matmul_share:.0%} of the FLOP rate of matrix products: "
        f"about {measured.hours:,.2f} hours for {params.train.total_clips:,} clips,",
        "not counting waits for data and other devices, nor validation",
    )


def _say(console: Console, *lines: str) -> None:
    """Print lines without markup."""
    console.print("\n".join(lines), highlight=False, markup=False)


def train(
    devices: Annotated[
        str, typer.Option(help="such as cpu, cpu:2 or 0-3 [default: T2V_DEVICES, or else `devices` of the params]")
    ] = "",
    profile: Annotated[bool, typer.Option("--profile", help="profile a few steps instead; writes no model")] = False,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help=f"number of steps to profile, the first with penalties [default: {PROFILED}]"),
    ] = None,
) -> None:
    """Train like `dvc repro train`, or profile a few steps of that training after a warm-up (--profile).

    Only one process is profiled: the first device with its share of the batch. It uses the labels, clips and captions
    in data/, and changes neither data/ nor checkpoints.

    Example: t2v train --devices cpu
    """
    if steps is not None and not profile:
        raise UserError("--steps: only a profile has a number of steps; add --profile, or set train.total_clips")
    from pipeline.distributed import parse_devices  # torch takes seconds

    found = parse_devices(load_params().devices, devices)  # before other stages run
    if profile:
        _require_writable(PROFILES)  # before the steps, which may take minutes
    if devices:
        os.environ[DEVICES_VARIABLE] = devices
    if not profile:  # replaces this process, so that signals reach DVC directly
        os.execv(sys.executable, [sys.executable, "-m", "dvc", "repro", "train"])
    trace, traced = _trace(found, steps or PROFILED)
    costs, console = traced.costs, open_console()
    lines = [[cost.name, f"{cost.calls:g}", f"{1000 * cost.seconds:.2f}", f"{cost.share:.1%}"] for cost in costs]
    print_table(console, ["operation", "calls per step", "ms per step", "share"], lines[:SHOWN])
    whole = 1000 * sum(cost.seconds for cost in costs)
    detail = f"{whole:.1f} ms in {len(costs)} operations; {trace} opens in chrome://tracing or ui.perfetto.dev"
    _say(console, detail)
    if found[0].type == "cpu" and traced.presence < UNDISTURBED:
        share = f"{traced.presence:.0%} of them"
        _say(console, f"other processes used the CPU: times are wall times, and training ran during only {share}")


def _require_writable(folder: Path) -> None:
    """Create the folder; raises OSError if no file can be written to it."""
    folder.mkdir(parents=True, exist_ok=True)
    with naming(folder), TemporaryFile(dir=folder) as file:
        file.write(b" ")


def _trace(found: "Sequence[torch.device]", steps: int) -> "tuple[Path, StepProfile]":
    from pipeline.data.dataset import DataFolders, Dataset, TrainingSplit
    from pipeline.distributed import Rank, set_up, use_device
    from pipeline.monitoring.throughput import profile_steps
    from pipeline.training.checkpoints import digest_inputs, fingerprint
    from pipeline.training.loop import Trainer, build_run, describe_run

    params = load_params()
    train = params.train
    part = Rank(0, len(found), found[0]).share(train.batch_clips, train.shared_clips, train.sharing_key)
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
    file = PROFILES / f"{name[:12]}.json"
    return file, profile_steps(Trainer(rank, replace(run, params=alone), clips), steps, file)
