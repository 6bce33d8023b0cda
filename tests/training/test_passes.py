"""How a step runs its networks: in bf16 or compiled as params say, and without waiting for a GPU."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from projects import ROOT
from torch.utils._python_dispatch import TorchDispatchMode
from training_sets import CPU, FLOW, H, T, tiny_params

from pipeline.data.sampler import reseed
from pipeline.losses import SharedRng
from pipeline.training.loop import Run, build_networks
from pipeline.training.objectives import compute_schedule
from pipeline.training.step import compile_networks, train_step

SEED_2019 = {
    "adversarial": "nonsaturating",
    "matching": "thirds",
    "penalties": {"zero_gp": 5.0},
    "discriminator_steps": 2,
    "generator": {"kind": "convgru"},
    "discriminator": {"frames": 3},
}
METHODS = {
    "demo": {},
    "augmented": {"augmentation": {"probability": [0.5, 0.5]}, "opposites": 0.5, "condition_ramp": 0.9},
    "seed-2019": SEED_2019,
    "differences": {"penalties": {"r1_fd": 1.0, "r2_fd": 1.0}, "captions": {"encoder": "transformer"}},
    "stacked": {"discriminator": {"condition": "stacked", "time": "head"}, "generator": {"volume_width": 8}},
    "spectral": {"discriminator": {"spectral_norm": True}, "adversarial": "hinge"},
    "mixed": {"mixed": {"loss": "mbgan"}},
    "every second frame": {"discriminator": {"frame_stride": 2}},
    "flow": FLOW | {"flow": {"long_steps": 0.5}},
}
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


class Training:
    """A few steps from one start; `values` are those of the last."""

    def __init__(self, clips, frames=T, side=H, **train):
        self.clips, self.frames, self.side, self.params = clips, frames, side, tiny_params(**train).train
        shape = tiny_params().clip.model_copy(update={"frames": frames, "height": side, "width": side})
        self.nets = build_networks(Run(3, shape, self.params, 20), CPU)
        torch.manual_seed(1)
        for model in self.nets.trained.values():
            for parameter in model.parameters():
                parameter.data += 0.05 * torch.randn_like(parameter)

    def step(self, penalise):
        reseed(3, 0, 0)
        rows = np.arange(8)
        batches = [
            self.clips.batch(rows + 8 * n, self.nets.generator.z_width, slice(0, 8), self.params.opposites)
            for n in range(self.params.step_clips // 8)
        ]
        every, part = T // self.frames, slice(None, None, H // self.side)
        batches = [replace(batch, frames=batch.frames[:, ::every, part, part]) for batch in batches]
        rng, now = SharedRng(8, slice(0, 8), CPU), compute_schedule(self.params, 32)
        options = {"penalise": penalise, "average_gradients": lambda _: None}
        return train_step(self.nets, batches, self.params, now, rng, **options)

    def weights(self):
        models = (*self.nets.trained.values(), self.nets.average)
        return [parameter.detach().clone() for model in models for parameter in model.parameters()]


class Waits(TorchDispatchMode):
    """Counts what waits for a GPU: numbers taken from it, sizes that depend on values, lists moved to it."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "is_nonzero", "unique", "bincount")

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put_", "index_put") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if by_mask or name in self.NAMES or name.startswith("_unique"):
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def test_what_makes_a_gpu_wait_is_seen():
    x = torch.arange(4.0)
    with Waits() as waits:
        x.sum().item(), x[x > 1], torch.tensor([1, 2]), bool((x > 9).any())
    assert waits.found == {"_local_scalar_dense": 2, "index": 1, "lift_fresh": 1}


@pytest.mark.slow
@each_method
def test_nothing_in_a_step_waits_for_the_device(clips, method):
    training = Training(clips, **method)
    training.step(penalise=True)  # Adam makes its state in the first one
    rows, rng, now = np.arange(8), SharedRng(8, slice(0, 8), CPU), compute_schedule(training.params, 32)
    made = [clips.batch(rows, training.nets.generator.z_width, slice(0, 8)) for _ in range(2)]
    for penalise in (True, False):
        options = {"penalise": penalise, "average_gradients": lambda _: None}
        with Waits() as waits:
            train_step(training.nets, made, training.params, now, rng, **options)
        assert waits.found == {}


@pytest.mark.slow
@each_method
def test_bf16_trains_like_float32(clips, method):
    """Losses are near, all weights stay float32 and move, nothing overflows."""
    exact, lowered = Training(clips, **method), Training(clips, **method, precision="bf16")
    before = lowered.weights()
    for penalise in (False, True):
        expected, found = exact.step(penalise), lowered.step(penalise)
        assert expected.keys() == found.keys()
        for name, value in found.items():
            assert value.dtype == torch.float32
            assert value.item() == pytest.approx(expected[name].item(), rel=0.15, abs=0.1), name
    assert lowered.nets.finite()
    assert all(parameter.dtype == torch.float32 for parameter in lowered.weights())
    assert any(not torch.equal(a, b) for a, b in zip(before, lowered.weights(), strict=True))
    moved = torch.cat([(a - b).flatten() for a, b in zip(before, lowered.weights(), strict=True)])
    alike = torch.cat([(a - b).flatten() for a, b in zip(before, exact.weights(), strict=True)])
    assert torch.nn.functional.cosine_similarity(moved, alike, dim=0) > 0.6  # Adam's first steps are signs


def test_what_a_penalty_reads_is_exact_in_bf16(clips):
    """The gradient at real clips is the same to the bit; the loss of a step without penalties is not."""
    exact, lowered = Training(clips, penalties={"r1": 1.0}), Training(clips, penalties={"r1": 1.0}, precision="bf16")
    assert exact.step(penalise=False)["logits/real"] != lowered.step(penalise=False)["logits/real"]
    exact, lowered = Training(clips, penalties={"r1": 1.0}), Training(clips, penalties={"r1": 1.0}, precision="bf16")
    expected, found = exact.step(penalise=True), lowered.step(penalise=True)
    assert expected["penalty/r1"] == found["penalty/r1"]
    assert expected["logits/real"] == found["logits/real"]
    assert expected["logits/fake"] != found["logits/fake"]


def test_a_step_in_bf16_can_be_repeated_to_the_bit(clips):
    found = []
    for _ in range(2):
        training = Training(clips, precision="bf16")
        training.step(penalise=True), training.step(penalise=False)
        found.append(training.weights())
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.timeout(1800)  # compiling takes one to two minutes of an idle core, and beside other work many more
@pytest.mark.slow
@pytest.mark.parametrize(("method", "frames"), [("demo", 4), ("seed-2019", 2), ("flow", 4)])
def test_compiled_training_is_that_of_the_same_code(clips, method, frames):
    """Also where gradients are penalised, which no compiled code can be asked for; to the rounding.

    Each size of a picture is compiled by itself, and a recurrent network frame after frame: clips are small and short.
    """
    if not compile_networks(CPU):
        pytest.skip("nothing can be compiled on this machine")
    options = {"frames": frames, "side": 8, **METHODS[method]}
    plain, compiled = Training(clips, **options), Training(clips, **options, compile=True)
    assert plain.nets.state()["generator"].keys() == compiled.nets.state()["generator"].keys()
    for penalise in (False, True, False):
        expected, found = plain.step(penalise), compiled.step(penalise)
        for name, value in found.items():
            assert value.item() == pytest.approx(expected[name].item(), rel=1e-3, abs=1e-4), name
    assert compiled.nets.finite()


@pytest.mark.slow
def test_without_a_compiler_training_says_so_and_goes_on(tmp_path):
    """In a process of its own: what has been compiled once is remembered."""
    code = """
import torch
from pipeline.training.step import compile_networks
print(compile_networks(torch.device("cpu"), torch.nn.Linear(1, 1)))
"""
    environment = {"CXX": "/nowhere/c++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
    assert "train.compile: " in done.stderr and "/nowhere/c++" in done.stderr
    assert "training goes on without" in done.stderr


@pytest.mark.parametrize("adversarial", ["relativistic", "nonsaturating"])
def test_the_level_of_the_logits_rests_where_differences_alone_count(clips, adversarial):
    """Its gradient is then rounding alone, which Adam would make as large as any other."""
    training = Training(clips, adversarial=adversarial)
    bias = training.nets.discriminator.clip_discriminator.realness.bias
    before = bias.detach().clone()
    training.step(penalise=True), training.step(penalise=False)
    assert torch.equal(before, bias) == (adversarial == "relativistic")
