"""How long a step takes on the device that it is planned for, with as many clips as the time allows."""

import resource
import sys
import time
from dataclasses import dataclass

import psutil
import torch

from pipeline.planning.steps import Task, networks_of, take_step
from pipeline.training.settings import set_up
from pipeline.training.step import Networks

ROUNDS = 3  # of a plain and a penalised step, at most, after those that warm up


@dataclass(frozen=True)
class Speed:
    """Seconds of steps with a device's whole share of the batch, as measured with `clips`."""

    clips: int
    plain: float
    penalised: float


def measure(task: Task, most_clips: int, seconds: float) -> Speed:
    """Take real steps with up to `most_clips`, or as many as fit into about so many seconds.

    With each number of clips the first steps warm up. Of those that follow the fastest counts: others were disturbed.
    Where they had fewer clips than a share, smaller ones tell how much of a step does not depend on its clips.
    """
    set_up(task.device)
    if task.device.type == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // task.world))
    nets = networks_of(task, compiled=True)
    end = time.perf_counter() + seconds

    def pair(clips: int) -> tuple[float, float]:
        return _timed(task, nets, clips, penalise=False), _timed(task, nets, clips, penalise=True)

    def fastest(clips: int) -> list[float]:
        pairs = [pair(clips)]
        while len(pairs) < ROUNDS and time.perf_counter() < end:
            pairs.append(pair(clips))
        return [min(times) for times in zip(*pairs, strict=True)]

    clips = group = task.params.group_clips
    pair(clips)
    while clips < most_clips and sum(pair(clips)) * 2 * (ROUNDS + 1) < end - time.perf_counter():
        clips = min(2 * clips, most_clips)
        pair(clips)
    large = fastest(clips)
    few, small = (group, fastest(group)) if group < clips < task.share else (0, [0.0, 0.0])
    each = [max(a - b, 0) / (clips - few) for a, b in zip(large, small, strict=True)]  # clip more
    plain, penalised = (a + more * (task.share - clips) for a, more in zip(large, each, strict=True))
    return Speed(clips, plain, penalised)


def _timed(task: Task, nets: Networks, clips: int, *, penalise: bool) -> float:
    start = time.perf_counter()
    take_step(task, nets, clips, penalise=penalise)
    if task.device.type == "cuda":
        torch.cuda.synchronize(task.device)
    return time.perf_counter() - start


def held_memory(device: torch.device) -> int:
    """Bytes that this process has of the device's memory."""
    return torch.cuda.memory_reserved(device) if device.type == "cuda" else int(psutil.Process().memory_info().rss)


def most_held_memory(device: torch.device) -> int:
    """The most that it ever had of it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
