"""`t2v plan` for people and for machines."""

import json

import pytest
from training_sets import tiny_params, write_project
from typer.testing import CliRunner

from pipeline.cli.commands import app


@pytest.mark.slow
def test_hours_are_those_of_so_many_measured_steps(tmp_path, monkeypatch):
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


@pytest.mark.slow
def test_a_processor_without_bf16_plans_in_float32_and_says_so(tmp_path, monkeypatch):
    write_project(tmp_path / "project", precision="bf16")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.delenv("T2V_DEVICES", raising=False)
    plain = "pipeline.planning.has_bf16"
    memory = {}
    for has in (True, False):
        monkeypatch.setattr(plain, lambda _, has=has: has)
        told = json.loads(CliRunner().invoke(app, ["plan", "--json", "--seconds", "0"]).output)
        assert ("in float32" in told["data"]) is not has
        memory[has] = told["memory"]["step"]
    assert memory[False] > memory[True]


@pytest.mark.slow
def test_devices_that_are_given_win_over_the_environment(tmp_path, monkeypatch):
    write_project(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("T2V_DEVICES", "cpu")
    answer = CliRunner().invoke(app, ["plan", "--json", "--seconds", "0", "--devices", "cpu:2"])
    assert json.loads(answer.output)["devices"] == ["cpu", "cpu"]


@pytest.mark.parametrize("seconds", ["-1", "inf", "nan"])
def test_steps_are_measured_for_an_hour_at_most(seconds):
    answer = CliRunner().invoke(app, ["plan", "--seconds", seconds])
    assert answer.exit_code == 2 and "--seconds" in answer.output
