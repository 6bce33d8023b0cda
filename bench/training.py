"""The measurements of `make bench-train`: variants of training, compared with matrix products, and sampling.

Steps use random clips, one step at a time, so that variants can alternate: on one core, in two processes, with clips
read from shards, and in bf16 on a GPU if there is one.
"""

import json
import math
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bench.dataset import chosen_clips, draw_short
from bench.measuring import Times, cpu_seconds, interleaved
from bench.table import Measure, ratio
from pipeline.data.dataset import Batch, DataFolders, Dataset, TrainingSplit, to_frames
from pipeline.data.sampler import Sampler, reseed
from pipeline.directions import DirectionRules
from pipeline.distributed import Rank, set_up
from pipeline.distributed.launch import run_on
from pipeline.files import write_json
from pipeline.models.flops import step_flops
from pipeline.monitoring.throughput import MATMUL_SIDE, measure_matmul_rate
from pipeline.params import ClipParams, TrainParams
from pipeline.planning.dry_run import TrainingTask, build_task_networks, draw_batches, step_on
from pipeline.records import DIRECTION_RULES, Caption, Clip
from pipeline.shards import write_index, write_shard
from pipeline.tables import write_table

WORDS, CAPTION_WORDS = 27, 8  # as in the demo

CPU = torch.device("cpu")
ALONE = Rank(0, 1, CPU)
PRODUCTS = 4  # matrix products timed together
SHRINK = 4  # penalties on one clip in this many
STEP_ROUNDS = 4  # rounds of steps per round of the slow recipe, since undisturbed steps are rare
SAMPLED_SIDE = 64

CLIPS, SHARD_CLIPS = 512, 128  # of the shards

GPU_SIDES = (64, 128)


class Steps:
    """A training run in the middle of its budget: `take` is one step of one rank."""

    def __init__(self, rank: Rank, shape: ClipParams, params: TrainParams) -> None:
        rank.share(params.batch_clips, params.shared_clips, params.sharing_key)  # raises if it cannot be divided
        self.rank, self.params = rank, params
        self.task = TrainingTask(shape, params, rank.device, rank.world, WORDS, CAPTION_WORDS)
        self.nets = build_task_networks(self.task, compiled=True)
        self.batches = draw_batches(self.task, self.nets, self.task.share)

    def take(self, penalise: bool, batches: Sequence[Batch] = ()) -> None:
        """One step on these batches, or on fixed random ones; returns when the device has finished."""
        reseed(0, 0, 0)
        average = self.rank.average_gradients
        step_on(self.task, self.nets, batches or self.batches, penalise=penalise, average_gradients=average)
        if self.rank.device.type == "cuda":
            torch.cuda.synchronize(self.rank.device)

    def cycle(self) -> None:
        """One penalised step and the following steps up to the next one."""
        for number in range(self.params.penalty_every):
            self.take(penalise=number == 0)


def step_measures(shape: ClipParams, train: TrainParams, of_seed: TrainParams, rounds: int) -> list[Measure]:
    """One core, CPU time: steps with and without penalties, the recipe of the 2019 project, and matrix products."""
    torch.set_num_threads(1)
    shrink = math.gcd(SHRINK, train.batch_clips)
    exact, differences = {"r1": 1.0, "r2": 1.0}, {"r1_fd": 1.0, "r2_fd": 1.0}
    ours = Steps(ALONE, shape, train.model_copy(update={"penalties": exact}))
    variants = {
        "differences": {"penalties": differences},
        "exact at some": {"penalties": exact, "penalty_shrink": shrink},
        "differences at some": {"penalties": differences, "penalty_shrink": shrink},
    }
    penalised = {name: Steps(ALONE, shape, train.model_copy(update=changes)) for name, changes in variants.items()}
    seed = Steps(ALONE, shape, of_seed)
    plain_flops, exact_flops = (step_flops(partial(ours.take, penalise=penalise)) for penalise in (False, True))
    a, b = torch.rand(2, MATMUL_SIDE["cpu"], MATMUL_SIDE["cpu"])
    steps = {"plain": lambda _: ours.take(penalise=False), "exact": lambda _: ours.take(penalise=True)}
    others = {
        **{name: partial(_penalised_step, steps) for name, steps in penalised.items()},
        "products": lambda _: [a @ b for _ in range(PRODUCTS)],
    }
    for way in others.values():  # warm-up; `ours` has had its first, slow steps
        way(None)
    times = interleaved(steps | others, [None], STEP_ROUNDS * rounds, cpu_seconds)
    beside_seed = interleaved(steps | {"seed": lambda _: seed.cycle()}, [None], rounds, cpu_seconds)
    every, size = train.penalty_every, f"{shape.frames}x{shape.height}x{shape.width}"
    step, step_beside_seed = _mean_step(times, every), _mean_step(beside_seed, every)
    flops = ((every - 1) * plain_flops + exact_flops) / every
    products = PRODUCTS * 2 * MATMUL_SIDE["cpu"] ** 3
    of_one = (
        seed.params.step_clips * seed.params.penalty_every / train.step_clips
    )  # clips of its cycle to a step of ours
    seed_step = Times(beside_seed["seed"].best / of_one, beside_seed["seed"].median / of_one)
    return [
        ratio(
            "vs_seed_2019", f"clips/s at {size}, relative to the recipe seed-2019", ">= 10", seed_step, step_beside_seed
        ),
        Measure(
            "flop_share",
            "FLOP rate of the step, relative to matrix products",
            ">= 0.5",
            flops / step.best / (products / times["products"].best),
            flops / step.median / (products / times["products"].median),
        ),
        ratio(
            "exact_penalty_cost",
            "step with r1 and r2, relative to one without",
            "< 2.2",
            times["exact"],
            times["plain"],
        ),
        ratio("fd_penalty_cost", "with r1_fd and r2_fd", "< 1.5", times["differences"], times["plain"]),
        ratio(
            "exact_penalty_cost_shrunk",
            f"with r1 and r2 at one clip in {shrink}",
            "<= 1.3",
            times["exact at some"],
            times["plain"],
        ),
        ratio(
            "fd_penalty_cost_shrunk",
            f"with r1_fd and r2_fd at one clip in {shrink}",
            "<= 1.15",
            times["differences at some"],
            times["plain"],
        ),
        _rate("clips_per_second", "on one core", train.step_clips, step),
        _rate("gigaflops", "GFLOP/s of the step on one core", flops / 1e9, step),
        _rate("matmul_gigaflops", "GFLOP/s of matrix products on one core", products / 1e9, times["products"]),
    ]


def _penalised_step(steps: Steps, _: None) -> None:
    steps.take(penalise=True)


def sampling_measures(shape: ClipParams, train: TrainParams, fps: int, rounds: int) -> list[Measure]:
    """All cores, wall time: one clip at a time, as for display."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    large = shape.model_copy(update={"height": SAMPLED_SIDE, "width": SAMPLED_SIDE})
    steps = Steps(ALONE, large, train)
    one = steps.batches[0]

    @torch.inference_mode()
    def sample(_: None) -> None:
        to_frames(steps.nets.average(one.z[:1], one.token_ids[:1]))

    sample(None)
    times = interleaved({"sample": sample}, [None], 5 * rounds, time.perf_counter)["sample"]
    what = f"seconds of {fps} fps video per second, one clip of {shape.frames}x{SAMPLED_SIDE}x{SAMPLED_SIDE} at a time"
    return [_rate("sample_vs_play", what, shape.frames / fps, times, ">= 1")]


def _mean_step(times: dict[str, Times], every: int) -> Times:
    """The mean over a cycle of one penalised and the other steps."""
    plain, exact = times["plain"], times["exact"]
    return Times(*(((every - 1) * a + b) / every for a, b in ((plain.best, exact.best), (plain.median, exact.median))))


def _rate(name: str, what: str, amount: float, times: Times, target: str = "") -> Measure:
    return Measure(name, what, target, amount / times.best, amount / times.median)


def measure_processes(folder: Path, shape: ClipParams, train: TrainParams, rounds: int) -> list[Measure]:
    """Clips/s of two processes relative to one; and CPU seconds, which are more reliable on a shared machine."""
    names = ("two_processes_vs_one", "two_processes_vs_one_by_cpu", "clips_per_second_all_cores")
    cores = len(os.sched_getaffinity(0))
    if cores < 2:
        return [Measure(name, f"{cores} core", "", None) for name in names]
    run_on([CPU, CPU], time_ranks, folder, shape, train, rounds, cores)
    figures = json.loads((folder / "processes.json").read_text(encoding="utf-8"))
    of_one, of_two = (Times(**figures["clock"][name]) for name in ("one", "two"))
    clips = train.step_clips * train.penalty_every
    return [
        Measure(
            names[0],
            f"two processes of {cores // 2} threads, relative to one of {cores // 2 * 2}, wall time",
            ">= 0.9",
            of_one.best / of_two.best,
            of_one.median / of_two.median,
        ),
        Measure(names[1], "the same, CPU time of the busiest process and thread", "", figures["by_cpu"]),
        Measure(names[2], "one process, wall time", "", clips / of_one.best, clips / of_one.median),
    ]


def time_ranks(rank: Rank, folder: Path, shape: ClipParams, train: TrainParams, rounds: int, cores: int) -> None:
    """In each of two processes: alternate cycles of steps by both and by the first only."""
    set_up(rank.device)
    threads = cores // 2
    together = Steps(rank, shape, train)
    alone = Steps(Rank(0, 1, CPU), shape, train) if rank.rank == 0 else None
    used = {"one": float("inf"), "two": float("inf")}

    def cycle(_: None, name: str) -> None:
        """Returns in both processes at once: an idle process waits without using a core."""
        start = cpu_seconds()
        if name == "two":
            torch.set_num_threads(threads)
            together.cycle()
        elif alone:
            torch.set_num_threads(2 * threads)
            alone.cycle()
        used[name] = min(used[name], cpu_seconds() - start)
        rank.any_rank(False)

    ways = {name: partial(cycle, name=name) for name in used}
    for way in ways.values():
        way(None)
    times = interleaved(ways, [None], rounds, time.perf_counter)
    if rank.rank == 0:
        clock = {name: {"best": each.best, "median": each.median} for name, each in times.items()}
        # Threads of one process busy-wait for each other, so its CPU time is twice the wall time.
        figures = {"clock": clock, "by_cpu": used["one"] / 2 / used["two"]}
        (folder / "processes.json").write_text(json.dumps(figures), encoding="utf-8")


def data_measures(folder: Path, shape: ClipParams, train: TrainParams, steps: int) -> list[Measure]:
    """One core, wall time: the share of time spent waiting for the next batch."""
    torch.set_num_threads(1)
    clips, training = _made_up(folder, shape), Steps(ALONE, shape, train)
    sampler, share = Sampler(0, len(clips), train), slice(0, train.batch_clips)
    start = time.perf_counter()
    with clips.read_ahead(sampler.upcoming(range(steps), share)):
        for number in range(steps):
            z_width = training.nets.generator.z_width
            batches = [clips.batch(rows, z_width, share) for rows in sampler.batches(number)]
            training.take(penalise=number % train.penalty_every == 0, batches=batches)
    waited = clips.source.waited / (time.perf_counter() - start)
    return [Measure("data_wait", "share of time spent waiting for clips from shards", "< 0.02", waited)]


def _made_up(folder: Path, shape: ClipParams) -> TrainingSplit:
    labels = chosen_clips([draw_short(folder / "short.webm")] * CLIPS)
    size = (shape.frames, shape.height, shape.width)
    frames = np.random.default_rng(0).integers(0, 256, (CLIPS, *size, 3), dtype=np.uint8)
    rows = [(clip.id, clip.caption, each) for clip, each in zip(labels, frames, strict=True)]
    parts = [rows[start : start + SHARD_CLIPS] for start in range(0, CLIPS, SHARD_CLIPS)]
    shards = folder / "clips"
    write_index(shards, size, [write_shard(shards / f"{n:05}.parquet", part) for n, part in enumerate(parts)])
    ids, slots = tuple(range(2, 2 + CAPTION_WORDS)), (0,) * CAPTION_WORDS
    captions = [Caption(clip.id, clip.caption, ("",) * CAPTION_WORDS, ids, slots) for clip in labels]
    write_table(folder / "labels" / "clips.parquet", Clip, labels)
    write_json(folder / "labels" / DIRECTION_RULES, DirectionRules().as_data())
    write_table(folder / "captions" / "captions.parquet", Caption, captions)
    dataset = Dataset(DataFolders(folder / "labels", shards, folder / "captions"))
    return TrainingSplit(dataset, "train", CPU, loading="streamed")


def gpu_measures(shape: ClipParams, train: TrainParams, rounds: int) -> list[Measure]:
    """Wall time, with the batch size of params: clips/s, relative to float32, and FLOP rate relative to products."""
    found = []
    for side in GPU_SIDES:
        names = [f"{name}_bf16_{side}" for name in ("clips_per_second", "vs_float32", "flop_share")]
        if not torch.cuda.is_available():
            found += [Measure(name, f"{shape.frames}x{side}x{side} in bf16: no GPU here", "", None) for name in names]
            continue
        rank = Rank(0, 1, torch.device("cuda", 0))
        large = shape.model_copy(update={"height": side, "width": side})
        ways = {kind: Steps(rank, large, train.model_copy(update={"precision": kind})) for kind in ("float32", "bf16")}
        flops = step_flops(ways["bf16"].cycle)
        for steps in ways.values():
            steps.cycle()
        cycles = {kind: lambda _, steps=steps: steps.cycle() for kind, steps in ways.items()}
        times = interleaved(cycles, [None], rounds, time.perf_counter)
        full, fast = times["float32"], times["bf16"]
        products = measure_matmul_rate(rank.device, torch.bfloat16)
        clips = train.step_clips * train.penalty_every
        found += [
            Measure(names[0], f"at {shape.frames}x{side}x{side}", "", clips / fast.best, clips / fast.median),
            Measure(names[1], "clips/s relative to float32", "", full.best / fast.best, full.median / fast.median),
            Measure(
                names[2],
                "FLOP rate relative to matrix products in bf16",
                "",
                flops / fast.best / products,
                flops / fast.median / products,
            ),
        ]
    return found
