"""Tasks to plan: a training of tiny networks on the CPU."""

from typing import Any

from training_sets import CPU, tiny_params

from pipeline.planning.dry_run import TrainingTask


def tiny_task(world: int = 1, **train: Any) -> TrainingTask:
    """tiny_params as one of `world` processes has to train them."""
    params = tiny_params(**train)
    return TrainingTask(params.clip, params.train, CPU, world, words=20, tokens=5)
