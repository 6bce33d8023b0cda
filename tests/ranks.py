"""Processes that work together, forked from one that has imported everything already."""

import multiprocessing
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import torch.distributed as dist
from training_sets import CPU

from pipeline.distributed import Rank, launch

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["training_sets", "stages.train_model"])


def together(world: int, function: Callable[..., Any], *arguments: Any, patience: int = 300) -> list[Any]:
    """Call `function(rank, *arguments)` in so many processes -> what each of them returned or raised."""
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(world, SERVER) as pool:
        calls = [
            pool.submit(
                _member, number, world, f"file://{folder}/store", timedelta(seconds=patience), function, arguments
            )
            for number in range(world)
        ]
        return [call.exception() or call.result() for call in calls]


def _member(
    number: int,
    world: int,
    store: str,
    patience: timedelta,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> Any:
    dist.init_process_group("gloo", init_method=store, rank=number, world_size=world, timeout=patience)
    return function(Rank(number, world, CPU), *arguments)


@contextmanager
def quick_launcher() -> Iterator[None]:
    """The launcher's own processes are forked as well, and its signal handlers end with it."""
    config = launch.LaunchConfig
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "LaunchConfig", lambda **given: config(**given | {"start_method": "forkserver"}))
        patch.setattr(launch, "LINGER", 1.0)
        yield
    for number, handler in before.items():
        signal.signal(number, handler)
