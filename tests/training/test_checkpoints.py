"""States: what comes back is what was saved, a broken one is passed over, equal runs exclude each other."""

import resource
import signal

import pytest
import torch
from training_sets import CPU

from pipeline.errors import UserError
from pipeline.training.checkpoints import States, fingerprint


@pytest.fixture
def states(tmp_path):
    return States("name", tmp_path)


def state(step):
    return {"step": step, "history": [{"clips": 0.1 + 0.2}], "networks": {"w": torch.full((3,), float(step))}}


def test_nothing_saved_is_nothing_loaded(states):
    assert states.load(CPU) is None


def test_a_state_comes_back_to_the_bit(states):
    states.save(state(1))
    states.save(state(2))
    found = states.load(CPU)
    assert (found["step"], found["history"]) == (2, [{"clips": 0.1 + 0.2}])
    assert torch.equal(found["networks"]["w"], torch.full((3,), 2.0))


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_state_is_passed_over_for_the_one_before(states, capsys, keep):
    states.save(state(1))
    states.save(state(2))
    newest = states.paths()[0]
    whole = newest.read_bytes()
    newest.write_bytes(whole[: int(keep if keep in (0, 10) else keep * len(whole))])
    assert states.load(CPU)["step"] == 1
    assert f"{newest.name}: not a readable state" in capsys.readouterr().err


def test_a_state_with_an_altered_byte_is_passed_over_for_the_one_before(states, capsys):
    """torch would read it as if nothing had happened."""
    for step in (1, 2):
        states.save(state(step) | {"weights": torch.zeros(1000)})
    newest = states.paths()[0]
    damaged = bytearray(newest.read_bytes())
    damaged[damaged.find(bytes(3000)) + 1000] ^= 1
    newest.write_bytes(damaged)
    assert torch.load(newest, weights_only=True)["weights"].any()
    assert states.load(CPU)["step"] == 1
    assert f"{newest.name}: not a readable state" in capsys.readouterr().err


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_states_are_kept_and_no_others(tmp_path, keep):
    states = States("name", tmp_path, keep)
    for step in (1, 2, 9, 10, 100):
        states.save(state(step))
    steps = [torch.load(path, weights_only=True)["step"] for path in states.paths()]
    assert steps == [100, 10, 9, 2, 1][:keep]


def test_a_pickle_that_would_run_code_is_not_run(states, tmp_path, capsys):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    states.folder.mkdir()
    torch.save({"step": Trap()}, states.folder / "step-000000001.pt")
    assert states.load(CPU) is None
    assert not (tmp_path / "sprung").exists()
    assert "passed over" in capsys.readouterr().err


def test_a_state_that_cannot_be_written_leaves_the_last_one_whole(states):
    """A limit on the size of files stands for a full disk."""
    states.save(state(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(OSError, match="too large"):
            states.save({"step": 2, "networks": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert [path.name for path in states.folder.iterdir()] == ["step-000000001.pt"]
    assert states.load(CPU)["step"] == 1


def test_forgetting_leaves_nothing(states):
    states.save(state(1))
    states.forget()
    assert not states.folder.exists()


def test_an_equal_run_is_kept_out_until_the_first_has_ended(states, tmp_path):
    with (
        states.locked(),
        pytest.raises(UserError, match="an equal run is in progress"),
        States("name", tmp_path).locked(),
    ):
        pass
    with States("name", tmp_path).locked(), States("another", tmp_path).locked():
        pass


def test_the_fingerprint_covers_params_and_the_bytes_of_inputs_but_not_their_place(tmp_path):
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(text)
    names = [
        fingerprint({"r1": gamma}, [tmp_path / name])
        for gamma, name in ((1.0, "a"), (1.0, "b"), (1.0, "c"), (2.0, "a"))
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3
