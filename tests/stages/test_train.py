"""The stage `train`: however it was stopped and whatever it runs on, the same networks come out."""

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file
from training_sets import (
    FILES,
    TEN_STEPS,
    find_checkpoints,
    outputs,
    remember_needs,
    tiny_clips,
    tiny_params,
    train_project,
    write_data,
    write_project,
)

from pipeline.errors import Interrupted, UserError
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.loop import Trainer
from stages.train_model import main

quick = pytest.fixture(scope="module", autouse=True)(remember_needs)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project after an uninterrupted run of ten steps on one CPU process."""
    return train_project(tmp_path_factory.mktemp("finished") / "project", **TEN_STEPS)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A fresh project, and the working folder in it."""
    monkeypatch.delenv("T2V_DEVICES", raising=False)
    folder = write_project(tmp_path / "project", **TEN_STEPS)
    monkeypatch.chdir(folder)
    return folder


def change(folder, **train):
    path = folder / "params.yaml"
    tree = yaml.safe_load(path.read_text())
    tree["train"].update(train)
    path.write_text(yaml.safe_dump(tree))


def signalled(step, number=signal.SIGTERM):
    """A Trainer._take_step that sends this process a signal before a step."""
    take = Trainer._take_step

    def taken(self):
        if self.step == step:
            os.kill(os.getpid(), number)
        return take(self)

    return taken


@pytest.mark.slow
def test_a_run_writes_both_networks_their_history_and_no_state(finished):
    assert sorted(path.name for path in (finished / "data/model").iterdir()) == sorted(FILES)
    assert not list((finished / ".dvc/tmp/state").iterdir())
    with (finished / "data/model/history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["clips"] for row in rows] == ["24", "48", "72", "80"]
    last = json.loads((finished / "data/model/training.json").read_text())
    assert last == {name: float(value) for name, value in rows[-1].items() if value}
    assert {"loss_discriminator", "loss_generator", "loss_matching", "loss_penalties", "logits_real"} <= set(rows[0])
    assert not any("second" in name or "time" in name for name in rows[0])


def test_what_is_exported_is_the_average_and_it_is_not_the_start(finished):
    weights = load_file(finished / "data/model/generator.safetensors")
    assert all(np.isfinite(value).all() for value in weights.values())
    description = json.loads((finished / "data/model/model.json").read_text())
    assert description["vocabulary"]["words"][:2] == ["<pad>", "<unk>"]
    assert (description["seed"], description["clip"]) == (17, tiny_params().clip.model_dump())


@pytest.mark.slow
def test_two_runs_give_the_same_bytes(finished, project):
    main()
    assert outputs(project) == outputs(finished)


@pytest.mark.slow
def test_a_seed_of_the_training_alone_takes_the_place_of_the_seed_at_the_top(finished, project):
    path = project / "params.yaml"
    shared = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(shared | {"seed": 5, "training_seed": shared["seed"]}))
    main()
    assert outputs(project) == outputs(finished)


@pytest.mark.slow
@pytest.mark.parametrize(("stops", "number"), [([0], signal.SIGTERM), ([4, 7], signal.SIGINT)])
def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(finished, project, monkeypatch, stops, number):
    for stop in stops:
        with monkeypatch.context() as patch, pytest.raises(Interrupted, match=f"step {stop + 1} of 10"):
            patch.setattr(Trainer, "_take_step", signalled(stop, number))
            main()
        assert not (project / "data/model").exists()
    main()
    assert outputs(project) == outputs(finished)
    assert find_checkpoints(project) == []


@pytest.mark.slow
def test_a_signal_in_the_last_step_lets_the_run_finish(finished, project, monkeypatch):
    monkeypatch.setattr(Trainer, "_take_step", signalled(9))
    main()
    assert outputs(project) == outputs(finished)


@pytest.mark.slow
def test_a_run_stopped_while_it_wrote_its_result_writes_it_again(finished, project, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("stages.train_model.save_history", lambda *_: signal.raise_signal(signal.SIGINT))
        main()
    shutil.rmtree(project / "data/model")
    main()
    assert outputs(project) == outputs(finished)


@pytest.mark.slow
def test_a_truncated_state_falls_back_to_the_one_before(finished, project, monkeypatch, capsys):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Trainer, "_take_step", signalled(6))
        main()
    last = find_checkpoints(project)[-1]
    last.write_bytes(last.read_bytes()[:1000])
    main()
    assert "skipped" in capsys.readouterr().err
    assert outputs(project) == outputs(finished)


@pytest.mark.slow
def test_a_changed_run_starts_afresh_and_the_old_one_can_still_go_on(finished, project, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Trainer, "_take_step", signalled(6))
        main()
    change(project, mismatched=0.5)
    seen = []
    with monkeypatch.context() as patch:
        take = Trainer._take_step
        patch.setattr(Trainer, "_take_step", lambda self: seen.append(self.step) or take(self))
        main()
    assert seen == list(range(10))
    assert outputs(project) != outputs(finished)
    change(project, mismatched=1.0)
    main()
    assert outputs(project) == outputs(finished)


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_an_equal_run_in_progress_is_told_of(monkeypatch):
    held = {}
    original = Checkpoints.locked
    monkeypatch.setattr(Checkpoints, "locked", lambda self: held.setdefault("it", self) and original(self))
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Trainer, "_take_step", signalled(0))
        main()
    with original(held["it"]), pytest.raises(UserError, match="an identical run is in progress"):
        main()


@pytest.mark.slow
def test_a_run_that_diverges_says_so_and_keeps_its_last_good_state(project, monkeypatch):
    """From step 5 on a weight is not a number; the state of step 4 stays."""
    take = Trainer._take_step

    def poisoned(self):
        if self.step == 5:
            next(self.nets.generator.parameters()).data.fill_(float("nan"))
        return take(self)

    monkeypatch.setattr(Trainer, "_take_step", poisoned)
    with pytest.raises(UserError, match=r"was nan at step 6 of 10; the last good state is kept in .*Lower"):
        main()
    assert [path.name for path in find_checkpoints(project)] == ["step-000000004.pt"]
    monkeypatch.setattr(Trainer, "_take_step", lambda self: pytest.fail(f"step {self.step}"))
    with pytest.raises(pytest.fail.Exception, match="step 4"):
        main()


@pytest.mark.slow
def test_weights_that_break_in_the_last_update_are_not_exported(project, monkeypatch):
    """The losses of that step were taken before it, so they look well."""
    take = Trainer._take_step

    def poisoned(self):
        values = take(self)
        if self.step == 9:
            next(self.nets.average.parameters()).data.fill_(float("inf"))
        return values

    monkeypatch.setattr(Trainer, "_take_step", poisoned)
    with pytest.raises(UserError, match="weights are not finite after step 10 of 10"):
        main()
    assert not (project / "data/model").exists()


@pytest.mark.slow
def test_an_absurd_learning_rate_ends_with_a_clear_message(project):
    change(project, generator_lr=1.0e30, discriminator_lr=1.0e30)
    with pytest.raises(UserError, match="Lower the learning rates"):
        main()


def test_missing_inputs_and_an_empty_split_are_named(project):
    with pytest.raises(UserError, match=r"clips\.parquet: no such table"):
        main(labels=Path("elsewhere"))
    with pytest.raises(UserError, match=r"no index\.json, so its shards are not whole"):
        main(clips=Path("elsewhere"))
    with pytest.raises(UserError, match=r"captions\.parquet: no such table"):
        main(captions=Path("elsewhere"))
    write_data(project / "data", tiny_clips(6, split="judge"))
    with pytest.raises(UserError, match="no clip of split train has frames and a caption"):
        main()
    assert not (project / "data/model").exists()


def test_clips_of_another_shape_are_refused(project):
    tree = yaml.safe_load((project / "params.yaml").read_text())
    tree["clip"]["frames"] = 4
    (project / "params.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(UserError, match=r"holds clips of \(8, 16, 16, 3\), but `clip` differs"):
        main()


@pytest.mark.usefixtures("project")
def test_a_batch_that_the_devices_cannot_share_is_refused_before_they_start(monkeypatch):
    monkeypatch.setenv("T2V_DEVICES", "cpu:3")
    with pytest.raises(UserError, match=r"train\.batch_clips 8 does not divide over 3 devices"):
        main()
