"""Two CPU processes to one with as many threads in all."""

import json
import os
import time
from functools import partial
from pathlib import Path

import torch

from bench.measuring import Times, cpu_seconds, interleaved
from bench.steps import Steps
from bench.table import Measure
from bench.ways import CPU
from pipeline.distributed.devices import Rank, set_up
from pipeline.distributed.launch import run_on
from pipeline.params import ClipParams, TrainParams


def measure_processes(folder: Path, shape: ClipParams, train: TrainParams, rounds: int) -> list[Measure]:
    """Clips/s of two processes to one; and CPU seconds, which tell more where others use the machine."""
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
            f"two processes of {cores // 2} threads to one of {cores // 2 * 2}, by the clock",
            ">= 0.9",
            of_one.best / of_two.best,
            of_one.median / of_two.median,
        ),
        Measure(names[1], "the same, CPU seconds of the busiest process and thread", "", figures["by_cpu"]),
        Measure(names[2], "one process, by the clock", "", clips / of_one.best, clips / of_one.median),
    ]


def time_ranks(rank: Rank, folder: Path, shape: ClipParams, train: TrainParams, rounds: int, cores: int) -> None:
    """In each of two processes: cycles of steps together, then by the first one alone, and so on."""
    set_up(rank.device)
    threads = cores // 2
    together = Steps(rank, shape, train)
    alone = Steps(Rank(0, 1, CPU), shape, train) if rank.rank == 0 else None
    used = {"one": float("inf"), "two": float("inf")}

    def cycle(_: None, name: str) -> None:
        """Ends for both processes at once: the one that has nothing to do waits without using a core."""
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
        # The threads of one process wait for each other without rest, so its CPU time is the clock's, twice.
        figures = {"clock": clock, "by_cpu": used["one"] / 2 / used["two"]}
        (folder / "processes.json").write_text(json.dumps(figures), encoding="utf-8")
