"""The stage `train` with clips to validate on: figures in its rows, an early end, the best generator, all resumed."""

import csv
import json
import os
import signal
import subprocess
import sys

import pytest
import yaml
from projects import ROOT
from safetensors.numpy import load_file
from training_sets import TEN_STEPS, find_checkpoints, outputs, remember_needs, tiny_clips, write_data, write_project

from pipeline.errors import Interrupted
from pipeline.training.loop import Trainer
from pipeline.training.validation import ValidationSet
from stages.train_model import main

VALIDATION = {"every_clips": 16, "clips": 24, "metric": "discrepancy", "patience": None}
FIGURES = ("discriminator_gap", "discriminator_gap_generated", "discrepancy", "motion_direction")

quick = pytest.fixture(scope="module", autouse=True)(remember_needs)


def project(folder, **train):
    """A project with 24 clips of val; it is validated after every second step of ten."""
    write_project(folder, **TEN_STEPS | {"validation": VALIDATION} | train)
    write_data(folder / "data", tiny_clips(48, val=24))
    return folder


def ended(folder, monkeypatch, values=None):
    """The project after the stage; `values` stand in for the discrepancies that are measured."""
    monkeypatch.delenv("T2V_DEVICES", raising=False)
    monkeypatch.chdir(folder)
    with monkeypatch.context() as patch:
        if values is not None:
            patch.setattr(ValidationSet, "measure", planted(values))
        main()
    return folder


def planted(values):
    """A ValidationSet.measure with these discrepancies, one for each time in a run, found again by the weights."""
    known = {}

    def measure(self, nets):  # noqa: ARG001
        weights = next(nets.average.parameters()).detach().numpy().tobytes()
        return {"val/discrepancy": known.setdefault(weights, values[min(len(known), len(values) - 1)])}

    return measure


def table(folder, name="history.csv"):
    with (folder / "data/model" / name).open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_figures_have_a_table_of_their_own_and_each_makes_a_row_of_the_history(tmp_path, monkeypatch):
    folder = ended(project(tmp_path / "p"), monkeypatch)
    rows, validated = table(folder), table(folder, "validation.csv")
    assert [row["clips"] for row in rows] == ["16", "24", "32", "48", "64", "72", "80"]
    assert [row["clips"] for row in validated] == ["16", "32", "48", "64", "80"]
    assert tuple(validated[0]) == ("clips", *FIGURES)
    assert all(all(row.values()) for row in validated)
    assert not any(name.startswith("val_") for name in rows[0])
    last = json.loads((folder / "data/model/training.json").read_text())
    assert {name: last[f"val_{name}"] for name in FIGURES} == {name: float(validated[-1][name]) for name in FIGURES}
    assert 0 <= last["val_motion_direction"] <= 1


@pytest.mark.slow
def test_validation_changes_no_weight(tmp_path, monkeypatch):
    with_it = ended(project(tmp_path / "with"), monkeypatch)
    without = ended(project(tmp_path / "without", validation=VALIDATION | {"clips": 19}), monkeypatch)
    for name in ("generator.safetensors", "discriminator.safetensors"):
        assert outputs(with_it)[name] == outputs(without)[name]
    assert (without / "data/model/validation.csv").read_text().splitlines() == [",".join(("clips", *FIGURES[:3]))]


def test_a_run_ends_early_says_why_and_is_whole(tmp_path, monkeypatch, capsys):
    folder = project(tmp_path / "p", validation=VALIDATION | {"patience": 2})
    ended(folder, monkeypatch, [3.0, 2.0, 2.5, 2.1, 0.1])
    told = "train: ends after 64 clips: best discrepancy 2 after 32 clips, see train.validation.patience"
    assert told in " ".join(capsys.readouterr().err.split())
    assert [row["clips"] for row in table(folder)] == ["16", "24", "32", "48", "64"]
    assert json.loads((folder / "data/model/model.json").read_text())["clips"] == 64
    assert find_checkpoints(folder) == []


@pytest.mark.slow
def test_the_best_generator_is_exported_where_that_is_asked_for(tmp_path, monkeypatch):
    folder = project(tmp_path / "best", export="best")
    ended(folder, monkeypatch, [3.0, 2.0, 0.5, 2.1, 2.2])
    assert json.loads((folder / "data/model/model.json").read_text())["clips"] == 48
    seen = {}
    take = Trainer._take_step

    def noted(self):
        if self.step == 6:  # 48 clips
            seen.update({name: value.clone().numpy() for name, value in self.nets.average.state_dict().items()})
        return take(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_take_step", noted)
        ended(project(tmp_path / "last"), monkeypatch)
    exported = load_file(folder / "data/model/generator.safetensors")
    assert all((exported[name] == value).all() for name, value in seen.items())
    last = load_file(tmp_path / "last/data/model/generator.safetensors")
    assert not all((exported[name] == value).all() for name, value in last.items())


@pytest.mark.slow
def test_stopped_at_any_step_a_run_ends_as_it_would_have_early_and_with_the_best(tmp_path, monkeypatch):
    """Between validation and saving, too: it is validated after every second step, and saved after every third."""
    values = [3.0, 2.0, 0.5, 2.1, 0.1]
    changes = {"validation": VALIDATION | {"patience": 1}, "export": "best"}
    whole = ended(project(tmp_path / "whole", **changes), monkeypatch, values)
    expected = outputs(whole)
    assert len(table(whole)) == 5  # the fourth validation, after 64 clips, brought nothing better
    for stop in range(8):
        folder = project(tmp_path / f"stopped-{stop}", **changes)
        tree = yaml.safe_load((folder / "params.yaml").read_text())
        tree["checkpoints"]["every_clips"] = 24
        (folder / "params.yaml").write_text(yaml.safe_dump(tree))
        with monkeypatch.context() as patch:
            patch.setattr(ValidationSet, "measure", planted(values))
            killed_after(stop, folder, patch)
            monkeypatch.chdir(folder)
            main()
        assert outputs(folder) == expected, stop


def killed_after(stop, folder, patch):
    """The stage until after `stop` steps: as by kill -9, nothing is saved but what the run had saved by itself."""
    take = Trainer._take_step

    def taken(self):
        if self.step == stop:
            raise KeyboardInterrupt
        return take(self)

    patch.chdir(folder)
    with patch.context() as inner, pytest.raises(KeyboardInterrupt):
        inner.setattr(Trainer, "_take_step", taken)
        main()


@pytest.mark.slow
def test_a_signal_in_the_step_of_an_early_end_lets_the_run_finish(tmp_path, monkeypatch):
    folder = project(tmp_path / "p", validation=VALIDATION | {"patience": 1})
    take = Trainer._take_step

    def taken(self):
        if self.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return take(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_take_step", taken)
        ended(folder, monkeypatch, [1.0, 2.0])
    assert len(table(folder)) == 3


@pytest.mark.slow
def test_a_run_killed_while_it_wrote_its_early_result_writes_it_without_another_step(tmp_path, monkeypatch):
    folder = project(tmp_path / "p", validation=VALIDATION | {"patience": 1}, export="best")
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr("stages.train_model.save_model", lambda *_: (_ for _ in ()).throw(Interrupted("killed")))
        ended(folder, monkeypatch, [1.0, 2.0])
    monkeypatch.setattr(Trainer, "_take_step", lambda self: pytest.fail(f"step {self.step}"))
    main()
    assert json.loads((folder / "data/model/model.json").read_text())["clips"] == 16


DRIVER = """
from pipeline.errors import run
from pipeline.training.validation import ValidationSet
from stages.train_model import main

values = iter([3.0, 2.0, 2.5, 0.1])
measure = ValidationSet.measure
ValidationSet.measure = lambda self, nets: measure(self, nets) | {"val/discrepancy": next(values)}

if __name__ == "__main__":
    run(main)
"""


@pytest.mark.slow
def test_two_processes_decide_alike_and_export_the_same(tmp_path):
    """The first one measures and decides for both; the other would wait for ever if it went on alone."""
    folders = [project(tmp_path / name, validation=VALIDATION | {"patience": 1}, export="best") for name in ("1", "2")]
    for folder, devices in zip(folders, ("cpu", "cpu:2"), strict=True):
        (folder / "driver.py").write_text(DRIVER)
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "T2V_DEVICES": devices}
        subprocess.run([sys.executable, "driver.py"], cwd=folder, env=environment, check=True, timeout=500)
    one, two = (load_file(folder / "data/model/generator.safetensors") for folder in folders)
    assert all(two[name] == pytest.approx(value, abs=1e-5) for name, value in one.items())
    tables = [table(folder, "validation.csv") for folder in folders]
    assert [[row["clips"] for row in rows] for rows in tables] == [["16", "32", "48"]] * 2
    for row, other in zip(*tables, strict=True):
        assert [float(other[name]) for name in FIGURES] == pytest.approx(
            [float(row[name]) for name in FIGURES], abs=0.05
        )
