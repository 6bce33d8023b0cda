"""What a run says of its cost is what can be worked out by hand, and saying it changes no byte of the run."""

import copy
import json
import mmap
import re
from functools import partial

import numpy as np
import pytest
import torch
from full_disks import limited_files
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.profiler import ProfilerActivity, profile
from training_sets import CPU, tiny_params, tiny_set, write_project

from pipeline.data.sampler import reseed
from pipeline.errors import UserError
from pipeline.losses import PENALTIES, SharedRng
from pipeline.models.flops import step_flops
from pipeline.monitoring import throughput
from pipeline.monitoring.throughput import Throughput, ThroughputMeter, measure_matmul_rate, measure_memory
from pipeline.training.loop import Run, build_networks
from pipeline.training.objectives import compute_schedule
from pipeline.training.step import train_step
from stages.train_model import main

BATCH, WIDTH, OUT = 5, 7, 3
PRODUCT = 2 * BATCH * WIDTH * OUT  # operations: a multiplication and an addition for each pair


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("data"))


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is put forward."""
    hands = [100.0]
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: hands[0])
    monkeypatch.setattr(throughput, "measure_matmul_rate", lambda *_: 1000.0)
    return hands


def product(frames, weight):
    return frames @ weight


def test_a_product_and_its_backward_pass_are_counted_by_hand():
    weight = torch.randn(WIDTH, OUT, requires_grad=True)
    frames = torch.randn(BATCH, WIDTH, requires_grad=True)
    assert step_flops(partial(product, frames, weight)) == PRODUCT
    assert step_flops(lambda: product(frames, weight).sum().backward()) == 3 * PRODUCT


def test_a_convolution_over_space_and_time_is_counted_by_hand():
    layer = torch.nn.Conv3d(4, 6, 3, padding=1)
    frames = torch.randn(2, 4, 5, 8, 8)
    once = 2 * 2 * 6 * 4 * 27 * 5 * 8 * 8
    assert step_flops(partial(layer, frames)) == once
    assert step_flops(lambda: layer(frames).sum().backward()) == 2 * once  # no gradient for the frames


def test_a_penalty_on_the_slope_is_counted_through_its_second_derivative():
    """Forward, slope at the frames, and the slope's own way back to the weight."""
    weight = torch.randn(WIDTH, OUT, requires_grad=True)
    frames = torch.randn(BATCH, WIDTH, requires_grad=True)

    def penalised():
        (slope,) = torch.autograd.grad(product(frames, weight).sum(), frames, create_graph=True)
        slope.square().sum().backward(inputs=[weight])

    assert step_flops(penalised) == 3 * PRODUCT


KINDS = {
    "default": {},
    "every penalty": {"penalties": dict.fromkeys(PENALTIES, 0.1)},
    "the seed's": {"generator": {"kind": "convgru"}, "discriminator": {"frames": 2, "spectral_norm": True}},
    "mixed": {"mixed": {"loss": "mbgan"}},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_counting_changes_no_byte_of_a_step(clips, kind):
    params = tiny_params(**KINDS[kind])
    nets = build_networks(Run(1, params.clip, params.train, 20), CPU)
    start = copy.deepcopy(nets.state())
    found = []
    for way in (lambda step: step(), step_flops):
        nets.load(copy.deepcopy(start))
        for number in range(3):
            reseed(3, 1, number)
            batch = clips.batch(np.arange(8), nets.generator.z_width, slice(0, 8))
            way(
                partial(
                    train_step,
                    nets,
                    [batch],
                    params.train,
                    compute_schedule(params.train, 8 * number),
                    SharedRng(8, slice(0, 8), CPU),
                    penalise=number != 1,
                    average_gradients=lambda _: None,
                )
            )
        found.append([p.detach().clone() for model in (nets.generator, nets.discriminator) for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_rate_is_the_operations_of_a_product_over_its_best_time_and_draws_nothing_from_the_run():
    ticks = iter(np.cumsum([0.0, *[3.0, 1.0, 2.0] * 999]).tolist())  # each product takes 3 s or 2 s or 1 s
    torch.manual_seed(1)
    rate = measure_matmul_rate(CPU, clock=lambda: next(ticks))
    drawn = torch.rand(3)
    assert rate in {2 * 1024**3 / seconds for seconds in (1.0, 2.0, 3.0)}
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(3))


def test_rates_are_those_of_the_time_since_the_last_report(clock):
    """Steps of two kinds, a product and two of them; each is counted once."""
    weight, frames = torch.randn(WIDTH, OUT), torch.randn(BATCH, WIDTH)
    steps = {False: lambda: product(frames, weight), True: lambda: [product(frames, weight) for _ in range(2)]}
    watch = ThroughputMeter(CPU, tiny_params().train, 40)
    for penalised in (True, False, False, True, False):
        watch.measure(steps[penalised], penalised=penalised)
    clock[0] += 4
    rates = watch.read(80, waited=1.0)
    assert (rates.clips, rates.waiting, rates.flops) == (10.0, 0.25, 7 * PRODUCT / 4)
    watch.measure(steps[True], penalised=True)
    clock[0] += 2
    rates = watch.read(88, waited=1.5)
    assert (rates.clips, rates.waiting, rates.flops) == (4.0, 0.25, 2 * PRODUCT / 2)
    assert rates.scalars()["speed/share_of_matmul"] == pytest.approx(PRODUCT / 1000)


def test_a_compiled_step_is_never_counted(clock, monkeypatch):
    """Counting runs a step uncompiled, and that rounds otherwise."""
    monkeypatch.setattr(throughput, "count_flops", lambda _: pytest.fail("counted"))
    watch = ThroughputMeter(CPU, tiny_params(compile=True).train, 0)
    assert watch.measure(lambda: 3, penalised=True) == 3
    clock[0] += 1
    assert watch.read(8, 0.0).flops is None


def test_the_line_says_all_of_it():
    assert str(Throughput(12.34, 0.0012, 1_230_000_000, 61.2e9, 100e9)) == (
        "12.3 clips/s, 0.1% waiting for data, 1.23 GB, 61.2 GFLOP/s (61% of matrix products)"
    )
    assert str(Throughput(12.34, 0.0, 10**9, None, 100e9)) == "12.3 clips/s, 0.0% waiting for data, 1.00 GB"


def test_memory_is_what_this_process_has_taken_itself_and_no_mapped_file(tmp_path):
    (tmp_path / "file").write_bytes(bytes(50_000_000))
    before = measure_memory(CPU)
    assert not np.memmap(tmp_path / "file", np.uint8, "r").any()
    assert measure_memory(CPU) - before < 10e6
    with mmap.mmap(-1, 50_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as own:
        own[:] = bytes(50_000_000)
        assert 40e6 < measure_memory(CPU) - before < 120e6


def test_a_run_tells_its_cost_to_terminal_and_board_but_not_to_its_history(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("T2V_DEVICES", raising=False)
    monkeypatch.chdir(write_project(tmp_path / "project", total_clips=24, report_clips=8))
    main()
    lines = re.findall(
        r"train: \d+/24 clips, .*GFLOP/s \(\d+% of matrix products\), .* min left", capsys.readouterr().err
    )
    assert len(lines) == 3
    (event,) = (tmp_path / "project" / "runs").rglob("events.*")
    scalars = EventAccumulator(str(event)).Reload().Tags()["scalars"]
    names = set(Throughput(1.0, 1.0, 1, 1.0, 1.0).scalars())
    assert names <= set(scalars)
    history = (tmp_path / "project/data/model/history.csv").read_text()
    assert not re.search("speed|second|waiting|memory|flops", history)


@pytest.mark.parametrize(("operations", "room"), [(1, 0), (1, 2048), (200, 0), (200, 32768)])
def test_a_trace_that_does_not_fit_on_the_disk_is_told_and_leaves_nothing(tmp_path, operations, room):
    """Torch notices it only if more than the last buffer is missing."""
    with profile(activities=[ProfilerActivity.CPU]) as traced:
        for _ in range(operations):
            torch.ones(2, 2) @ torch.ones(2, 2)
    file = tmp_path / "trace.json"
    with (
        limited_files(room),
        pytest.raises(UserError, match=r"trace\.json: torch could not write .*; make room"),
    ):
        throughput._write_trace(traced, file)
    assert not list(tmp_path.iterdir())


def test_a_trace_that_fits_is_kept(tmp_path):
    with profile(activities=[ProfilerActivity.CPU]) as traced:
        torch.ones(2, 2) @ torch.ones(2, 2)
    throughput._write_trace(traced, tmp_path / "trace.json")
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
