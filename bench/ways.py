"""Ways of training on one core, beside each other and beside nothing but matrix products; and sampling."""

import os
import time
from functools import partial

import torch

from bench.measuring import Times, cpu_seconds, interleaved
from bench.steps import Steps
from bench.table import Measure, ratio
from pipeline.data.batches import to_frames
from pipeline.distributed.devices import Rank
from pipeline.models.flops import step_flops
from pipeline.monitoring.throughput import MATMUL_SIDE
from pipeline.params import ClipParams, TrainParams

CPU = torch.device("cpu")
ALONE = Rank(0, 1, CPU)
PRODUCTS = 4  # matrix products that are timed together
STEP_ROUNDS = 4  # of steps, for one of the slow recipe: a third of a second hardly ever passes undisturbed
SAMPLED_SIDE = 64


def step_measures(shape: ClipParams, train: TrainParams, of_seed: TrainParams, rounds: int) -> list[Measure]:
    """One core, by CPU time: steps with and without penalties, the seed's recipe, and matrix products."""
    torch.set_num_threads(1)
    ours = Steps(ALONE, shape, train.model_copy(update={"penalties": {"r1": 1.0, "r2": 1.0}}))
    by_differences = Steps(ALONE, shape, train.model_copy(update={"penalties": {"r1_fd": 1.0, "r2_fd": 1.0}}))
    seed = Steps(ALONE, shape, of_seed)
    plain_flops, exact_flops = (step_flops(partial(ours.take, penalise=penalise)) for penalise in (False, True))
    a, b = torch.rand(2, MATMUL_SIDE["cpu"], MATMUL_SIDE["cpu"])
    steps = {"plain": lambda _: ours.take(penalise=False), "exact": lambda _: ours.take(penalise=True)}
    others = {
        "differences": lambda _: by_differences.take(penalise=True),
        "products": lambda _: [a @ b for _ in range(PRODUCTS)],
    }
    for way in others.values():  # ours has had its first, slow steps
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
        ratio("vs_seed_2019", f"clips/s at {size}, to the recipe seed-2019", ">= 10", seed_step, step_beside_seed),
        Measure(
            "flop_share",
            "FLOP rate of the step to that of matrix products",
            ">= 0.5",
            flops / step.best / (products / times["products"].best),
            flops / step.median / (products / times["products"].median),
        ),
        ratio("exact_penalty_cost", "step with r1 and r2, to one without", "< 2.2", times["exact"], times["plain"]),
        ratio("fd_penalty_cost", "with r1_fd and r2_fd", "< 1.5", times["differences"], times["plain"]),
        _rate("clips_per_second", "on one core", train.step_clips, step),
        _rate("gigaflops", "of the step on one core", flops / 1e9, step),
        _rate("matmul_gigaflops", "of matrix products on one core", products / 1e9, times["products"]),
    ]


def sampling_measures(shape: ClipParams, train: TrainParams, fps: int, rounds: int) -> list[Measure]:
    """All cores, by the clock: one clip at a time, as it would be shown."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    large = shape.model_copy(update={"height": SAMPLED_SIDE, "width": SAMPLED_SIDE})
    steps = Steps(ALONE, large, train)
    one = steps.batches[0]

    @torch.inference_mode()
    def sample(_: None) -> None:
        to_frames(steps.nets.average(one.z[:1], one.token_ids[:1]))

    sample(None)
    times = interleaved({"sample": sample}, [None], 5 * rounds, time.perf_counter)["sample"]
    what = (
        f"seconds of video at {fps} fps per second, one clip of {shape.frames}x{SAMPLED_SIDE}x{SAMPLED_SIDE} at a time"
    )
    return [_rate("sample_vs_play", what, shape.frames / fps, times, ">= 1")]


def _mean_step(times: dict[str, Times], every: int) -> Times:
    """Of all steps from one penalised step to the next."""
    plain, exact = times["plain"], times["exact"]
    return Times(*(((every - 1) * a + b) / every for a, b in ((plain.best, exact.best), (plain.median, exact.median))))


def _rate(name: str, what: str, amount: float, times: Times, target: str = "") -> Measure:
    return Measure(name, what, target, amount / times.best, amount / times.median)
