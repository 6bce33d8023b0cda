"""Every recipe makes a complete params file, and its training takes two steps at reduced width."""

import re

import pytest
import torch
import yaml
from projects import ROOT
from training_sets import CPU, H, T, W, shrunk, tiny_set

from pipeline.cli.recipe import DEFAULTS, build_text, load_recipe
from pipeline.distributed import Rank
from pipeline.params import check_params
from pipeline.training.loop import Run, Trainer

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
pytestmark = pytest.mark.usefixtures("in_the_project")
each_recipe = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


@pytest.fixture
def in_the_project(monkeypatch):
    """Recipes are those of the folder that a command runs in."""
    monkeypatch.chdir(ROOT)


def comments(text):
    """What is said beside the keys, without the head and the section that a recipe replaces as a whole."""
    kept = re.sub(r"^  generator:.*?(?=^  \w)", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line.partition("# ")[2] for line in kept.splitlines() if "# " in line and not line.startswith("#")]


@each_recipe
def test_a_recipe_makes_a_complete_params_file(path):
    assert check_params(yaml.safe_load(build_text(path.stem)), str(path)) == load_recipe(path.stem)


def test_the_shipped_params_are_the_defaults():
    """Where they are not, one of the two was edited: a new key belongs into the defaults."""
    remedy = "edit pipeline/params/defaults.yaml, delete params.yaml, then run: t2v recipe write demo"
    assert (ROOT / "params.yaml").read_bytes() == DEFAULTS.read_bytes(), remedy
    assert build_text("demo").encode() == DEFAULTS.read_bytes()


@each_recipe
def test_the_comments_of_a_written_recipe_are_those_of_the_defaults(path):
    """What a key means does not depend on its value; a list or a mapping may be longer, and the head is its own."""
    written = build_text(path.stem)
    assert comments(written) == comments(DEFAULTS.read_text(encoding="utf-8"))
    assert written.startswith("#")


@each_recipe
def test_a_recipe_says_nothing_that_the_defaults_say(path):
    """Only whole sections, where `kind` is another, and whole mappings may repeat a value."""

    def repeated(changes, defaults, where=""):
        for key, value in changes.items():
            if isinstance(value, dict) and "kind" not in value and key != "penalties":
                yield from repeated(value, defaults[key], f"{where}{key}.")
            elif value == defaults[key]:
                yield f"{where}{key}"

    changes = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    assert list(repeated(changes, yaml.safe_load(DEFAULTS.read_text(encoding="utf-8")))) == []


@pytest.mark.slow
@each_recipe
def test_a_recipe_takes_two_steps_that_move_every_network(path, tmp_path):
    """The methods are the recipe's own; widths, batch and shape are small."""
    tree = yaml.safe_load(build_text(path.stem))
    for network in ("generator", "discriminator"):
        tree["train"][network] = {key: shrunk(key, value) for key, value in tree["train"][network].items()}
    tree["clip"] |= {"frames": T, "height": H, "width": W}
    tree["train"]["batch_clips"] = 4
    params = check_params(tree, str(path))
    params = params.model_copy(
        update={"train": params.train.model_copy(update={"total_clips": 2 * params.train.step_clips})}
    )
    clips = tiny_set(tmp_path / "data")
    trainer = Trainer(Rank(0, 1, CPU), Run(1, params.clip, params.train, 20), clips)
    models = (*trainer.nets.trained.values(), trainer.nets.average)
    before = [[p.detach().clone() for p in model.parameters()] for model in models]
    trainer.train()
    assert trainer.step == 2
    assert all(torch.isfinite(torch.tensor(value)) for value in trainer.history[-1].values())
    for old, model in zip(before, models, strict=True):
        assert any(not torch.equal(a, b) for a, b in zip(old, model.parameters(), strict=True))
    assert trainer.nets.finite()
