"""What small steps tell of large ones: bytes and operations, compared with closed forms and real steps."""

import pytest
import torch
from planned import tiny_task
from torch.utils.flop_counter import FlopCounterMode
from training_sets import FLOW

from pipeline.planning import count_parameters
from pipeline.planning.dry_run import (
    CostCounter,
    build_task_networks,
    count_forward_flops,
    draw_batch,
    dry_run_steps,
    take_step,
)


def test_bytes_are_counted_while_tensors_live_and_views_only_once():
    kept = torch.zeros(100)
    with CostCounter() as costs:
        costs.watch([kept, kept[10:]])
        assert costs.live == 400
        doubled = kept * 2
        view = doubled.view(10, 10)
        assert costs.live == 800
        del doubled
        assert costs.live == 800
        del view
        assert costs.live == 400
    assert costs.peak == 800


def test_operations_are_those_of_a_product_and_its_two_gradients():
    """[5,3] times [3,7]: 2*5*3*7 forwards, and as many for the gradient of each factor."""
    a, b = torch.ones(5, 3, requires_grad=True), torch.ones(3, 7, requires_grad=True)
    with CostCounter() as costs:
        (a @ b).sum().backward()
    assert costs.counted == 3 * 2 * 5 * 3 * 7


def test_operations_of_a_pass_are_those_that_torch_counts():
    task = tiny_task()
    nets = build_task_networks(task)
    batch = draw_batch(task, nets, 1)
    with torch.no_grad(), FlopCounterMode(display=False) as drawing:
        frames = nets.generator(batch.z, batch.token_ids)
    with torch.no_grad(), FlopCounterMode(display=False) as judging:
        nets.discriminator(frames, batch.token_ids)
    assert count_forward_flops(task) == (drawing.get_total_flops(), judging.get_total_flops())


def test_a_larger_step_needs_what_the_smallest_ones_tell():
    task = tiny_task()
    nets = build_task_networks(task)
    take_step(task, nets, 8, penalise=False)
    with CostCounter() as costs:
        models = (nets.generator, nets.discriminator, nets.average)
        costs.watch([value for model in models for value in (*model.parameters(), *model.buffers())])
        take_step(task, nets, 8, penalise=True)
    needs = dry_run_steps(task, penalise=True).needs(8)
    assert needs.flops == costs.counted
    assert costs.peak + needs.optimiser == pytest.approx(needs.peak, rel=0.15)


def test_weights_and_momenta_are_counted_by_hand():
    task = tiny_task()
    needs = dry_run_steps(task, penalise=False).one
    nets = build_task_networks(task)
    trained = sum(p.numel() for model in (nets.generator, nets.discriminator) for p in model.parameters())
    averaged = sum(p.numel() for p in nets.average.parameters())
    buffers = sum(b.numel() for model in (nets.generator, nets.discriminator, nets.average) for b in model.buffers())
    assert sum(count_parameters(task).values()) == trained
    assert needs.weights == pytest.approx(4 * (trained + averaged + buffers), rel=0.01)
    assert needs.optimiser == pytest.approx(8 * trained, rel=0.01)  # and a counter of steps for each tensor


def test_flow_is_planned_without_a_discriminator():
    """Its small steps have one long step in four clips, as a whole batch has."""
    task = tiny_task(**FLOW)
    nets = build_task_networks(task)
    take_step(task, nets, 8, penalise=False)
    with CostCounter() as costs:
        take_step(task, nets, 8, penalise=False)
    planned = dry_run_steps(task, penalise=False)
    assert (planned.group, planned.needs(8).flops) == (4, costs.counted)
    assert count_forward_flops(task)[1] == 0
    assert {name.partition(".")[0] for name in count_parameters(task)} == {"generator"}


def test_no_step_that_is_only_watched_is_compiled(monkeypatch):
    """It would take minutes before each training, for batches that none has."""
    compiled = []
    monkeypatch.setattr("pipeline.training.step.compile_networks", lambda *models: compiled.append(models))
    task = tiny_task(compile=True)
    dry_run_steps(task, penalise=True)
    count_forward_flops(task)
    assert compiled == []
    build_task_networks(task, compiled=True)  # as those whose time is measured
    assert len(compiled) == 1
