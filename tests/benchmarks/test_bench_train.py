"""The measures of `make bench-train` run and are of the right work; how fast it is, no test asserts."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest
import torch
from locations import ROOT
from training_sets import tiny_params

pytestmark = pytest.mark.usefixtures("bench_is_importable")

ASKED = {
    "vs_seed_2019",
    "flop_share",
    "data_wait",
    "exact_penalty_cost",
    "fd_penalty_cost",
    "two_processes_vs_one",
    "sample_vs_play",
    "clips_per_second",
}


def test_a_cycle_is_one_penalised_step_and_then_plain_ones(monkeypatch):
    from bench.training import ALONE, Steps

    params = tiny_params(penalty_every=3)
    steps, taken = Steps(ALONE, params.clip, params.train), []
    before = [parameter.clone() for parameter in steps.nets.generator.parameters()]
    steps.take(penalise=True)
    assert any(not torch.equal(a, b) for a, b in zip(before, steps.nets.generator.parameters(), strict=True))
    monkeypatch.setattr(Steps, "take", lambda _, penalise: taken.append(penalise))
    steps.cycle()
    assert taken == [True, False, False]


def test_what_cannot_be_measured_here_says_why():
    from bench.training import gpu_measures

    if torch.cuda.is_available():
        pytest.skip("there is a GPU: it would be measured")
    params = tiny_params()
    for measure in gpu_measures(params.clip, params.train, rounds=1):
        assert measure.best is None
        assert "no GPU here" in measure.what


@pytest.mark.slow
def test_the_table_holds_what_was_asked_for(tmp_path):
    sizes = ["--side", "16", "--batch-clips", "2", "--rounds", "1"]
    command = [sys.executable, "-m", "bench.train", *sizes, "--out", str(tmp_path / "train.json")]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    figures = json.loads((tmp_path / "train.json").read_text())
    assert figures.keys() >= ASKED
    assert all(figures[name] is None or figures[name] >= 0 for name in ASKED)
    assert 0 < figures["flop_share"] < 1
    assert figures["machine"]["packages"]["torch"] == version("torch")
    assert all(any(line.startswith(f"{name} ") for line in printed.splitlines()) for name in ASKED)
