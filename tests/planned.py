"""Tasks to plan: a training of tiny networks on the CPU."""

from typing import Any

from training_sets import CPU, tiny_params

from pipeline.planning.dry_run import Task


def task_of(world: int = 1, **train: Any) -> Task:
    """tiny_params as one of `world` processes has to train them."""
    params = tiny_params(**train)
    return Task(params.clip, params.train, CPU, world, words=20, tokens=5)
