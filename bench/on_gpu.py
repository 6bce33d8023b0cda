"""bf16 on a GPU, where one is at hand, to float32 and to matrix products in bf16."""

import time

import torch

from bench.measuring import interleaved
from bench.steps import Steps
from bench.table import Measure
from pipeline.distributed.devices import Rank
from pipeline.models.flops import step_flops
from pipeline.monitoring.throughput import measure_matmul_rate
from pipeline.params import ClipParams, TrainParams

SIDES = (64, 128)


def gpu_measures(shape: ClipParams, train: TrainParams, rounds: int) -> list[Measure]:
    """By the clock, the params' own batch: clips/s, to float32, and the share of the rate of matrix products."""
    found = []
    for side in SIDES:
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
            Measure(names[1], "clips/s to float32", "", full.best / fast.best, full.median / fast.median),
            Measure(
                names[2],
                "FLOP rate to that of matrix products in bf16",
                "",
                flops / fast.best / products,
                flops / fast.median / products,
            ),
        ]
    return found
