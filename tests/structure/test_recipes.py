"""Every recipe is a complete params file, and its training takes two steps at reduced width."""

from pathlib import Path

import pytest
import torch
import yaml
from projects import ROOT
from training_sets import CPU, H, T, W, shrunk, tiny_set

from pipeline.distributed.devices import Rank
from pipeline.params import check_params, load_params
from pipeline.training.loop import Run, Trainer

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
each_recipe = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


class NoStates:
    """Nothing is saved, nothing is there to go on from."""

    folder = Path()

    def load(self, device):  # noqa: ARG002
        return None

    def save(self, state):
        pass


@each_recipe
def test_a_recipe_is_a_complete_params_file(path):
    load_params(path)


def test_the_demo_can_be_had_back():
    """recipes/demo.yaml is params.yaml as it is shipped: cp params.yaml recipes/demo.yaml."""
    assert (ROOT / "recipes/demo.yaml").read_text(encoding="utf-8") == (ROOT / "params.yaml").read_text(
        encoding="utf-8"
    )


@each_recipe
def test_the_comments_of_a_recipe_are_those_of_the_params(path):
    """What a key means does not depend on its value; a list or a mapping may be longer, and the head is its own."""

    def comments(file):
        lines = file.read_text(encoding="utf-8").splitlines()
        return [line.partition("# ")[2] for line in lines if "# " in line and not line.startswith("#")]

    assert comments(path) == comments(ROOT / "params.yaml")


@each_recipe
def test_a_recipe_takes_two_steps_that_move_every_network(path, tmp_path):
    """The methods are the recipe's own; widths, batch and shape are small."""
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    for network in ("generator", "discriminator"):
        tree["train"][network] = {key: shrunk(key, value) for key, value in tree["train"][network].items()}
    tree["clip"] |= {"frames": T, "height": H, "width": W}
    tree["train"]["batch_clips"] = 4
    params = check_params(tree, str(path))
    params = params.model_copy(
        update={"train": params.train.model_copy(update={"total_clips": 2 * params.train.step_clips})}
    )
    clips = tiny_set(tmp_path / "data")
    trainer = Trainer(Rank(0, 1, CPU), Run(1, params.clip, params.train, 20, NoStates(), tmp_path), clips)
    models = (trainer.nets.generator, trainer.nets.discriminator, trainer.nets.average)
    before = [[p.detach().clone() for p in model.parameters()] for model in models]
    trainer.train()
    assert trainer.step == 2
    assert all(torch.isfinite(torch.tensor(value)) for value in trainer.history[-1].values())
    for old, model in zip(before, models, strict=True):
        assert any(not torch.equal(a, b) for a, b in zip(old, model.parameters(), strict=True))
    assert trainer.nets.finite()
