"""What a plan tells of a training: counted and watched in small steps, compared with real ones."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from training_sets import CPU, T, tiny_params, write_project
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import UserError
from pipeline.planning import memory
from pipeline.planning.known import TOKENS, WORDS, known_of, resident_bytes
from pipeline.planning.memory import fit_of, require_fit
from pipeline.planning.plan import count_parameters
from pipeline.planning.rehearsal import Costs, passes, rehearse
from pipeline.planning.steps import Task, draw, networks_of, take_step
from pipeline.training.inputs import Places

PLACES = ("labels", "clips", "captions")


def task_of(world=1, **train):
    params = tiny_params(**train)
    return Task(params.clip, params.train, CPU, world, words=20, tokens=5)


@pytest.fixture(scope="module")
def rehearsed():
    return rehearse(task_of(), penalise=True)


def test_bytes_are_counted_while_tensors_live_and_views_only_once():
    kept = torch.zeros(100)
    with Costs() as costs:
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
    with Costs() as costs:
        (a @ b).sum().backward()
    assert costs.flops == 3 * 2 * 5 * 3 * 7


def test_operations_of_a_pass_are_those_that_torch_counts():
    task = task_of()
    nets = networks_of(task)
    batch = draw(task, nets, 1)
    with torch.no_grad(), FlopCounterMode(display=False) as drawing:
        frames = nets.generator(batch.z, batch.token_ids)
    with torch.no_grad(), FlopCounterMode(display=False) as judging:
        nets.discriminator(frames, batch.token_ids)
    assert passes(task) == (drawing.get_total_flops(), judging.get_total_flops())


def test_a_larger_step_needs_what_the_smallest_ones_tell(rehearsed):
    task = task_of()
    nets = networks_of(task)
    take_step(task, nets, 8, penalise=False)
    with Costs() as costs:
        models = (nets.generator, nets.discriminator, nets.average)
        costs.watch([value for model in models for value in (*model.parameters(), *model.buffers())])
        take_step(task, nets, 8, penalise=True)
    needs = rehearsed.needs(8)
    assert needs.flops == costs.flops
    assert costs.peak + needs.optimiser == pytest.approx(needs.peak, rel=0.15)


def test_weights_and_momenta_are_counted_by_hand():
    task = task_of()
    needs = rehearse(task, penalise=False).one
    nets = networks_of(task)
    trained = sum(p.numel() for model in (nets.generator, nets.discriminator) for p in model.parameters())
    averaged = sum(p.numel() for p in nets.average.parameters())
    assert sum(count_parameters(task).values()) == trained
    assert needs.weights == pytest.approx(4 * (trained + averaged), rel=0.01)  # and a few buffers
    assert needs.optimiser == pytest.approx(8 * trained, rel=0.01)  # and a counter of steps for each tensor


def test_the_largest_batch_fits_and_one_group_more_does_not(rehearsed):
    task, available = task_of(world=2), 200_000_000
    largest = fit_of(task, rehearsed, available).largest_batch
    assert largest % 2 == 0
    for batch, fits in ((largest, True), (largest + 2, False)):
        assert fit_of(task_of(world=2, batch_clips=batch), rehearsed, available).fits is fits


def test_a_training_that_fits_begins_and_one_that_does_not_is_refused_with_the_batch_that_would(monkeypatch):
    task = task_of()
    require_fit(task)
    enough = fit_of(task, rehearse(task, penalise=True), 1).needed / (1 - memory.SPARE)
    monkeypatch.setattr(memory, "free_memory", lambda _: int(enough * 0.95))
    with pytest.raises(UserError, match=r"train\.batch_clips 8: training needs about .* GB .*; [1-7] would fit"):
        require_fit(task)
    monkeypatch.setattr(memory, "free_memory", lambda _: 1000)
    with pytest.raises(UserError, match="not even the smallest batch fits"):
        require_fit(task)


def test_processes_on_one_machine_share_its_memory(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda _: 1000)
    assert [memory.available_memory(task_of(world=world)) for world in (1, 2)] == [900, 450]


def test_words_and_clips_are_counted_where_there_are_data_and_assumed_elsewhere(tmp_path):
    write_project(tmp_path)
    params = tiny_params()
    found = known_of(params, Places(*(tmp_path / "data" / name for name in PLACES)))
    assert (found.clips, found.given) == (22, None)
    assert found.tokens == len(["pushing", "a", "book", "from", "left", "to", "right"])
    assumed = known_of(params, Places(*(tmp_path / "nothing" / name for name in PLACES)))
    assert (assumed.words, assumed.tokens, assumed.clips) == (WORDS, TOKENS, 0)
    assert "no such" in assumed.told


def test_clips_count_only_where_they_lie_on_the_device():
    params = tiny_params()
    each = T * params.clip.height * params.clip.width * 3

    def loading(kind):
        return params.model_copy(update={"compute": params.compute.model_copy(update={"loading": kind})})

    assert resident_bytes(loading("resident"), 10, 5 * each) == 10 * each
    assert resident_bytes(loading("auto"), 10, 20 * each) == 10 * each
    assert resident_bytes(loading("auto"), 10, 19 * each) == 0
    assert resident_bytes(loading("streamed"), 10, 100 * each) == 0


def test_the_command_plans_before_there_are_data(tmp_path, monkeypatch):
    """A step is measured, and the hours are those of so many such steps."""
    write_project(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv("T2V_DEVICES", raising=False)
    answer = CliRunner().invoke(app, ["plan", "--json", "--seconds", "0"])
    told = json.loads(answer.output)
    assert told["memory"]["batch"] == 8
    assert told["memory"]["largest_batch"] > 8
    measured, penalties = told["measured"], told["arithmetic"]
    step = measured["plain"] + (measured["penalised"] - measured["plain"]) / tiny_params().train.penalty_every
    assert measured["clips_per_second"] == pytest.approx(8 / step)
    assert measured["hours"] == pytest.approx(64 / 8 * step / 3600)
    assert penalties["plain"] < penalties["average"] < penalties["penalised"]
    shown = CliRunner().invoke(app, ["plan", "--seconds", "0"]).output
    assert "22 training clips" in shown
    assert "a batch of 8 fits" in shown
