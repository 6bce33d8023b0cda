"""Ranks of one run: they see the same, begin alike, and end with the weights of a single process."""

import os
import random
import signal
import time

import pytest
import torch
from ranks import SERVER, together
from training_sets import FLOW, TEN_STEPS, outputs, tiny_params, tiny_set, train_project, write_project

from pipeline.distributed import PeerLost
from pipeline.errors import UserError
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.loop import Run, Trainer
from stages.train_model import main

FOUR_STEPS = {"total_clips": 32, "penalty_every": 2}
EIGHT_STEPS = {"total_clips": 64, "report_clips": 32, "penalty_every": 2}
WAYS = {
    # With seed 17 a gradient lies so near 0 that rounding decides a whole step of Adam, and all that follows; with 5
    # and 18 none does, whichever instruction sets round.
    "the default generator and two exact penalties": {"penalties": {"r1": 1.0, "r2": 1.0}, "seed": 5},
    "batch norm, augmentation, single frames, finite differences at every second clip": {
        "penalties": {"zero_gp": 1.0, "r1_fd": 1.0},
        "penalty_shrink": 2,
        "penalty_sigma": 0.1,  # of a step of 0.01, squared and divided by, rounding grows to a quarter of the way
        "opposites": 0.5,
        "condition_ramp": 0.5,
        "augmentation": {"probability": [0.5, 0.5]},
        "generator": {"kind": "convgru"},
        "discriminator": {"frames": 2},
    },
    "mixed batches with two updates of the discriminator": {
        "mixed": {"loss": "mbgan", "group": 2},
        "penalties": {"r1": 1.0},
        "discriminator_steps": 2,
        "total_clips": 128,
        "generator": {"kind": "convgru"},
    },
    "flow": FLOW,
}


def trainer_of(rank, folder, train):
    """A run of tiny networks on this rank; the first rank's states lie in `folder`, the others have none."""
    torch.use_deterministic_algorithms(True)
    own, others = folder / f"rank-{rank.rank}", {key: value for key, value in train.items() if key != "seed"}
    params = tiny_params(**others)
    run = Run(train.get("seed", params.seed), params.clip, params.train, 20)
    return Trainer(rank, run, tiny_set(own / "data"), checkpoints=Checkpoints("state", own))


def weights(trainer):
    """All weights as one tensor, by network."""
    nets = (*trainer.nets.trained.values(), trainer.nets.average)
    return [torch.cat([value.flatten() for value in net.state_dict().values()]) for net in nets]


def trained(rank, folder, train, until=None):
    """The weights at the start, or where a stopped run went on, and at the end or where it is stopped."""
    trainer = trainer_of(rank, folder, train)
    start = [each.clone() for each in weights(trainer)]
    trainer.steps = until or trainer.steps
    trainer.train()
    return start, weights(trainer)


def on(world, folder, train, until=None):
    """`trained` in so many processes; all of them have the same weights, to the bit."""
    first, *others = together(world, trained, folder, train, until)
    for other in others:
        assert all(
            torch.equal(a, b)
            for mine, theirs in zip(first, other, strict=True)
            for a, b in zip(mine, theirs, strict=True)
        )
    return first


def apart(one, other):
    """How far two ends are from each other, as a share of the way from the start: of each network."""
    (starts, ends), (_, others) = one, other
    return [((b - a).norm() / (a - start).norm()).item() for start, a, b in zip(starts, ends, others, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_one_two_and_four_processes_come_to_the_same_weights(tmp_path, way):
    """Within a twentieth of the way they went in 8 steps: Adam turns rounding of gradients near 0 into steps."""
    train = EIGHT_STEPS | WAYS[way]
    one = on(1, tmp_path / "1", train)
    for world in (2, 4):
        assert max(apart(one, on(world, tmp_path / str(world), train))) < 0.05


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """What four steps in one process come to."""
    return on(1, tmp_path_factory.mktemp("unbroken"), FOUR_STEPS)


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_run_goes_on_with_another_number_of_processes(unbroken, tmp_path, before, after):
    _, halfway = on(before, tmp_path, FOUR_STEPS, until=2)
    again, end = on(after, tmp_path, FOUR_STEPS)
    assert all(torch.equal(a, b) for a, b in zip(halfway, again, strict=True))
    assert max(apart(unbroken, (unbroken[0], end))) < 0.05


@pytest.mark.slow
def test_two_processes_that_go_on_end_with_the_same_bits(tmp_path):
    _, whole = on(2, tmp_path / "whole", FOUR_STEPS)
    on(2, tmp_path / "resumed", FOUR_STEPS, until=2)
    _, end = on(2, tmp_path / "resumed", FOUR_STEPS)
    assert all(torch.equal(a, b) for a, b in zip(whole, end, strict=True))


def train_until_killed(folder, step):
    """The stage in `folder`, killed with -9 in this step."""
    take = Trainer._take_step

    def taken(self):
        if self.step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return take(self)

    os.chdir(folder)
    Trainer._take_step = taken
    main()


@pytest.mark.slow
def test_a_run_killed_at_any_steps_ends_with_the_same_bytes(tmp_path):
    finished = train_project(tmp_path / "finished", **TEN_STEPS)
    folder = write_project(tmp_path / "killed", **TEN_STEPS)
    for step in [*sorted(random.Random(17).sample(range(10), 3)), None]:
        process = SERVER.Process(target=train_until_killed, args=(folder, step))
        process.start()
        process.join()
        assert process.exitcode == (0 if step is None else -signal.SIGKILL)
    assert outputs(folder) == outputs(finished)


def meet(rank):
    """What the ranks tell each other."""
    told = rank.broadcast_from_rank0(lambda: {"by": rank.rank, "weights": torch.arange(3)})
    return rank.all_gather(10.0 * rank.rank), rank.any_rank(rank.rank == 1), told["by"], told["weights"].tolist()


def test_ranks_hear_each_other_and_the_first_alone_is_asked_for_what_all_begin_with():
    assert together(3, meet) == [([0.0, 10.0, 20.0], True, 0, [0, 1, 2])] * 3


def compare(rank):
    rank.assert_same({"params": "same", "data/clips/index.json": f"{min(rank.rank, 1)}"})


def test_ranks_with_other_data_are_named_on_every_rank_and_their_data_on_them():
    first, *others = map(str, together(3, compare))
    assert (
        first
        == "rank 1, 2 of 3 would make another run than rank 0; every node needs the same params, data, code and torch"
    )
    for told in others:
        assert "than rank 0 (data/clips/index.json differ here); every node" in told


def poisoned(rank, folder):
    """From the third step on, the first value on rank 1 is not a number."""
    trainer = trainer_of(rank, folder, {"report_clips": 40})
    take = trainer._take_step

    def step():
        values = take()
        if rank.rank == 1 and trainer.step >= 2:
            values = {name: value * float("nan") if name == "logits/fake" else value for name, value in values.items()}
        return values

    trainer._take_step = step
    trainer.train()


def test_the_rank_whose_loss_is_not_a_number_is_named_on_all_ranks(tmp_path):
    for error in together(2, poisoned, tmp_path):
        assert isinstance(error, UserError)
        assert str(error).startswith("logits/fake was nan at step 3 of 8 on rank 1 of 2; the last good state is kept")


def late(rank):
    """Rank 1 comes too late to where all meet."""
    time.sleep(8 * rank.rank)
    rank.any_rank(False)


@pytest.mark.slow
def test_a_rank_that_does_not_come_is_waited_for_no_longer_than_agreed():
    errors = together(2, late, patience=2)
    assert [type(error) for error in errors] == [PeerLost, PeerLost]
    assert "Timed out" in str(errors[0])
