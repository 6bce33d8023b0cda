"""Checkpoints: what comes back is what was saved, a broken one is skipped, equal runs exclude each other."""

import pytest
import torch
from full_disks import limited_files
from training_sets import CPU

from pipeline.errors import UserError
from pipeline.training.checkpoints import LAYOUT, Checkpoints, digest_inputs, fingerprint


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints("name", tmp_path)


def state(step):
    return {"step": step, "history": [{"clips": 0.1 + 0.2}], "networks": {"w": torch.full((3,), float(step))}}


def test_nothing_saved_is_nothing_loaded(checkpoints):
    assert checkpoints.load(CPU) is None


def test_a_state_comes_back_to_the_bit(checkpoints):
    checkpoints.save(state(1))
    checkpoints.save(state(2))
    found = checkpoints.load(CPU)
    assert (found["step"], found["history"]) == (2, [{"clips": 0.1 + 0.2}])
    assert torch.equal(found["networks"]["w"], torch.full((3,), 2.0))


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_state_is_passed_over_for_the_one_before(checkpoints, capsys, keep):
    checkpoints.save(state(1))
    checkpoints.save(state(2))
    newest = checkpoints.paths()[0]
    whole = newest.read_bytes()
    newest.write_bytes(whole[: int(keep if keep in (0, 10) else keep * len(whole))])
    assert checkpoints.load(CPU)["step"] == 1
    assert f"{newest.name}: not a readable checkpoint" in capsys.readouterr().err


def test_a_state_with_an_altered_byte_is_passed_over_for_the_one_before(checkpoints, capsys):
    """torch would read it as if nothing had happened."""
    for step in (1, 2):
        checkpoints.save(state(step) | {"weights": torch.zeros(1000)})
    newest = checkpoints.paths()[0]
    damaged = bytearray(newest.read_bytes())
    damaged[damaged.find(bytes(3000)) + 1000] ^= 1
    newest.write_bytes(damaged)
    assert torch.load(newest, weights_only=True)["weights"].any()
    assert checkpoints.load(CPU)["step"] == 1
    assert f"{newest.name}: not a readable checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_states_are_kept_and_no_others(tmp_path, keep):
    checkpoints = Checkpoints("name", tmp_path, keep)
    for step in (1, 2, 9, 10, 100):
        checkpoints.save(state(step))
    steps = [torch.load(path, weights_only=True)["step"] for path in checkpoints.paths()]
    assert steps == [100, 10, 9, 2, 1][:keep]


@pytest.mark.parametrize("layout", [{}, {"layout": LAYOUT - 1}])
def test_a_checkpoint_of_an_older_version_is_reported_in_a_line_and_passed_over(checkpoints, capsys, layout):
    """Before the layout had a number, its keys were others: `recent` and `watch`."""
    checkpoints.save(state(1))
    torch.save(layout | state(2) | {"recent": [], "watch": {}}, checkpoints.folder / "step-000000002.pt")
    assert checkpoints.load(CPU)["step"] == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "step-000000002.pt: not a readable checkpoint (written by another version of t2v); skipped" in told


def test_a_pickle_that_would_run_code_is_not_run(checkpoints, tmp_path, capsys):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    checkpoints.folder.mkdir()
    torch.save({"step": Trap()}, checkpoints.folder / "step-000000001.pt")
    assert checkpoints.load(CPU) is None
    assert not (tmp_path / "sprung").exists()
    assert "skipped" in capsys.readouterr().err


def test_a_state_that_cannot_be_written_leaves_the_last_one_whole(checkpoints):
    checkpoints.save(state(1))
    with limited_files(4096), pytest.raises(OSError, match="too large"):
        checkpoints.save({"step": 2, "networks": torch.zeros(10_000)})
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step-000000001.pt"]
    assert checkpoints.load(CPU)["step"] == 1


def test_forgetting_leaves_nothing(checkpoints):
    checkpoints.save(state(1))
    checkpoints.forget()
    assert not checkpoints.folder.exists()


def test_an_equal_run_is_kept_out_until_the_first_has_ended(checkpoints, tmp_path):
    with (
        checkpoints.locked(),
        pytest.raises(UserError, match="an identical run is in progress"),
        Checkpoints("name", tmp_path).locked(),
    ):
        pass
    with Checkpoints("name", tmp_path).locked(), Checkpoints("another", tmp_path).locked():
        pass


def test_the_fingerprint_covers_params_and_the_bytes_of_inputs_but_not_their_place(tmp_path):
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(text)
    names = [
        fingerprint(digest_inputs({"r1": gamma}, [tmp_path / name]))
        for gamma, name in ((1.0, "a"), (1.0, "b"), (1.0, "c"), (2.0, "a"))
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3
