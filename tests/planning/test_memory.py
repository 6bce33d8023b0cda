"""Which training fits, and what is said where it does not."""

import subprocess
import sys

import pytest
from planned import tiny_task
from projects import ROOT

from pipeline import planning as memory
from pipeline.errors import UserError
from pipeline.planning import estimate_fit, require_fit
from pipeline.planning.dry_run import dry_run_steps


def test_the_largest_batch_fits_and_one_group_more_does_not():
    task, available = tiny_task(world=2), 200_000_000
    rehearsed = dry_run_steps(task, penalise=True)
    largest = estimate_fit(task, rehearsed, available).largest_batch
    assert largest % 2 == 0
    for batch, fits in ((largest, True), (largest + 2, False)):
        assert estimate_fit(tiny_task(world=2, batch_clips=batch), rehearsed, available).fits is fits


@pytest.mark.slow
def test_a_training_that_fits_begins_and_one_that_does_not_is_refused_with_the_batch_that_would(monkeypatch):
    task = tiny_task()
    require_fit(task)
    enough = estimate_fit(task, dry_run_steps(task, penalise=True), 1).needed / (1 - memory.SPARE)
    monkeypatch.setattr(memory, "measure_free_memory", lambda _: int(enough * 0.95))
    with pytest.raises(UserError, match=r"train\.batch_clips 8: training needs about .* GB .*; [1-7] would fit"):
        require_fit(task)
    monkeypatch.setattr(memory, "measure_free_memory", lambda _: 1000)
    with pytest.raises(UserError, match="not even the smallest batch fits"):
        require_fit(task)


def test_processes_on_one_machine_share_its_memory(monkeypatch):
    monkeypatch.setattr(memory, "measure_free_memory", lambda _: 1000)
    assert [memory.available_memory(tiny_task(world=world)) for world in (1, 2)] == [900, 450]


@pytest.mark.slow
def test_the_most_memory_that_a_process_had_leaves_out_what_started_it():
    code = "import torch; from pipeline.planning import *; print(most_held_memory(torch.device('cpu')))"
    large = bytearray(1 << 30)
    large[::4096] = bytes([1]) * len(large[::4096])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert int(done.stdout) < len(large)
