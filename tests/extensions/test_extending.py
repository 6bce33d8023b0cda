"""docs/extending.md is followed to the letter in a project outside the package: what it adds trains, reads, draws."""

import re
import sys

import numpy as np
import pytest
import torch
import yaml
from locations import ROOT
from markdown_pages import Page
from measured_clips import measured, reference
from projects import merged
from training_sets import CPU, tiny_params, tiny_set

from pipeline.corpus.readers import read_rows
from pipeline.demo import objects
from pipeline.distributed import Rank
from pipeline.errors import UserError
from pipeline.evaluation.controls import FROZEN, REAL, check_controls
from pipeline.evaluation.metric import measure_all
from pipeline.evaluation.metrics import select_metrics
from pipeline.losses import find_adversarial
from pipeline.models.networks import CaptionedDiscriminator, TextToVideo
from pipeline.params import check_params
from pipeline.training.checkpoints import digest_inputs
from pipeline.training.loop import NoMonitor, Run, Trainer
from pipeline.training.objectives import check_references
from pipeline.training.probe import find_oddities

PAGE = Page(ROOT / "docs/extending.md")
FILES = {block.text.split("\n")[0].removeprefix("# "): block.text for block in PAGE.blocks("python")}
LONGEST = 30  # lines
FRAMES_TAKEN = "z: Tensor, cond: Tensor, frames: slice = slice(None)"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the files of the page and nothing else; its modules are forgotten afterwards."""
    for name, text in FILES.items():
        if name.startswith("extensions/"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(ROOT))] + [str(ROOT)])
    forget()
    yield tmp_path
    forget()


def forget():
    for name in [name for name in sys.modules if name.split(".")[0] == "extensions"]:
        del sys.modules[name]


def settings(section):
    """The keys that the page changes in a section, all examples together."""
    found = {}
    for block in PAGE.blocks("yaml"):
        found = merged(found, yaml.safe_load(block.text))
    return found[section]


def test_every_example_is_short_and_names_its_file():
    assert len(FILES) == len(PAGE.blocks("python"))
    assert [name for name in FILES if not re.fullmatch(r"(extensions|pipeline)/\w+/\w+\.py", name)] == []
    assert {name: len(text.splitlines()) for name, text in FILES.items() if len(text.splitlines()) >= LONGEST} == {}


def test_a_loss_a_penalty_and_both_networks_of_ones_own_train_two_steps(project):
    params = tiny_params(**settings("train"), total_clips=16, penalty_every=1)
    check_references(params.train)
    clips = tiny_set(project / "data")
    trainer = Trainer(Rank(0, 1, CPU), Run(1, params.clip, params.train, 20), clips)
    assert type(trainer.nets.generator.generator).__name__ == "DenseGenerator"
    assert type(trainer.nets.discriminator.clip_discriminator).__name__ == "JoinedDiscriminator"
    models = (trainer.nets.generator, trainer.nets.discriminator, trainer.nets.average)
    before = [[p.detach().clone() for p in model.parameters()] for model in models]
    trainer.train()
    assert trainer.step == 2
    assert "penalty/extensions.training.capped:capped_r1" in trainer.history[-1]
    assert all(torch.isfinite(torch.tensor(value)) for value in trainer.history[-1].values())
    for old, model in zip(before, models, strict=True):
        assert any(not torch.equal(a, b) for a, b in zip(old, model.parameters(), strict=True))


def test_a_denoiser_of_ones_own_is_trained_by_flow_and_draws(project):
    own = {"kind": "extensions.training.denoise:DenseDenoiser", "options": {"width": 16}}
    params = tiny_params(method="flow", generator=own, total_clips=16)
    check_references(params.train)
    clips = tiny_set(project / "data")
    trainer = Trainer(Rank(0, 1, CPU), Run(1, params.clip, params.train, 20), clips)
    before = [p.detach().clone() for p in trainer.nets.generator.parameters()]
    trainer.train()
    after = trainer.nets.generator.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    average = trainer.nets.average
    assert average(torch.randn(2, average.z_width), clips.token_ids[:2]).isfinite().all()


@pytest.mark.usefixtures("project")
def test_the_losses_are_those_of_the_page():
    loss = find_adversarial(settings("train")["adversarial"])
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0])
    assert loss.discriminator(real, fake).tolist() == [0, 8]
    assert loss.generator(real, fake).tolist() == [1, 1]


def test_a_run_is_another_one_where_code_that_it_refers_to_has_changed(project):
    hashed = {"train": tiny_params(**settings("train")).train.model_dump()}
    before = digest_inputs(hashed, [])
    assert "extensions.training.dense:DenseGenerator" in before
    path = project / "extensions/training/dense.py"
    path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    after = digest_inputs(hashed, [])
    assert {name for name in before if before[name] != after[name]} == {"extensions.training.dense:DenseGenerator"}


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("adversarial", "extensions.training.capped:capped_r1", "is not of type pipeline.losses.Adversarial"),
        ("matching", "extensions.training.capped:capped_r1", "cannot be called with (adversarial, real, fake"),
        ("penalties", {"extensions.training.capped:capped": 1.0}, "has no capped in "),
        (
            "generator",
            {"kind": "extensions.training.joined:JoinedDiscriminator", "options": {}},
            "is not a subclass of",
        ),
        ("discriminator", {"condition": "extensions.training.dense:DenseGenerator"}, "is not a subclass of"),
        ("captions", {"encoder": "extensions.training.gone:Encoder"}, "has no module extensions.training.gone in "),
        ("mixed", {"loss": "extensions.training.capped:capped_r1"}, "cannot be called with (logits, shares)"),
    ],
)
@pytest.mark.usefixtures("project")
def test_an_extension_that_does_not_fit_is_refused_in_one_line_with_its_key(key, value, told):
    params = tiny_params(**{key: value})
    with pytest.raises(UserError) as caught:
        check_references(params.train)
    message = str(caught.value)
    assert message.startswith(f"train.{key}") and told in message and "package.module:object, which is " in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("key", "code", "told"),
    [
        ("adversarial", "Adversarial(lambda real: real, lambda real, fake: fake)", "the discriminator of"),
        ("adversarial", "Adversarial(lambda real, fake: fake, lambda real, fake: fake.mean())", "the generator of"),
        ("adversarial", "Adversarial(lambda real, fake: 1.0, lambda real, fake: fake)", "returns float where"),
        ("matching", "lambda adversarial, real, fake, mismatched, weight: real.mean()", "returns [] where"),
        ("mixed", "lambda logits, shares: logits", "returns [4] where"),
        (
            "adversarial",
            "Adversarial(lambda real, fake: real.detach(), lambda real, fake: fake)",
            "has no gradient, so",
        ),
        ("mixed", "lambda logits, shares: shares", "has no gradient"),
    ],
)
def test_a_loss_that_is_not_one_value_for_each_clip_is_refused_before_any_work(project, key, code, told):
    text = f"from pipeline.losses import Adversarial\n\nLOSS = {code}\n"
    (project / "extensions/training/wrong.py").write_text(text, encoding="utf-8")
    reference = "extensions.training.wrong:LOSS"
    params = tiny_params(**{key: {"loss": reference} if key == "mixed" else reference})
    with pytest.raises(UserError) as caught:
        check_references(params.train)
    message = str(caught.value)
    assert message.startswith(f"train.{key}") and reference in message and told in message and "\n" not in message


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("self.z_width = params.options", "width = params.options", "sets no z_width"),
        ("self, z: Tensor, cond: Tensor", "self, z: Tensor", "has a forward that cannot be called with (z, cond)"),
        (
            "torch.tanh(self.pixels(hidden)).unflatten(1, self.frames)",
            "self.pixels(hidden).detach().numpy()",
            "draws a ndarray for 2 clips; it must draw [2, 3, 8, 16, 16]",
        ),
        (".unflatten(1, self.frames)", "", "draws [2, 6144] for 2 clips; it must draw [2, 3, 8, 16, 16]"),
    ],
)
def test_a_generator_that_draws_something_else_is_named(project, old, new, told):
    path = project / "extensions/training/dense.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    text = text.replace(old, new).replace("self.z_width +", "16 +")
    path.write_text(text, encoding="utf-8")
    params = tiny_params(generator=settings("train")["generator"])
    with pytest.raises(UserError, match=r"^train\.generator.*" + re.escape(told)):
        TextToVideo(params.clip, params.train, 20)(torch.zeros(2, 16), torch.ones(2, 3, dtype=torch.long))


@pytest.mark.parametrize(
    ("takes", "frames", "told"),
    [
        ("z: Tensor, cond: Tensor", "", "has a forward that cannot be called with (z, cond, frames=)"),
        (
            FRAMES_TAKEN,
            "",
            "draws [2, 3, 8, 16, 16] for 2 clips, asked for frames 1::2 of 8; it must draw [2, 3, 4, 16",
        ),
        (FRAMES_TAKEN, "[:, :, frames][:, :, 1:]", "draws [2, 3, 3, 16, 16] for 2 clips, asked for frames 1::2 of 8"),
        (FRAMES_TAKEN, "[:, :, frames]", ""),
    ],
)
def test_a_generator_that_says_it_draws_chosen_frames_is_held_to_it(project, takes, frames, told):
    path = project / "extensions/training/dense.py"
    text = path.read_text(encoding="utf-8")
    changes = {
        "class DenseGenerator(Generator):": "class DenseGenerator(Generator):\n    draws_chosen_frames = True\n",
        "z: Tensor, cond: Tensor": takes,
        ".unflatten(1, self.frames)": f".unflatten(1, self.frames){frames}",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    params = tiny_params(generator=settings("train")["generator"], discriminator={"frame_stride": 2})

    def draw():
        network = TextToVideo(params.clip, params.train, 20)
        return network(torch.zeros(2, 16), torch.ones(2, 3, dtype=torch.long), chosen=slice(1, None, 2))

    if not told:
        assert draw().shape == (2, 3, 4, 16, 16)
        return
    with pytest.raises(UserError, match=r"^train\.generator.*" + re.escape(told)):
        draw()


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("capped", " - 1)", " - 1).mean()", r"train\.penalties: '.*' returns \[\] where it must return a tensor \[8\]"),
        ("capped", "- 1)  # [B]", "- 1).sum().item()  # [B]", r"train\.penalties: '.*' returns float where"),
        ("capped", " - 1)", " - 1).detach()", r"train\.penalties: '.*' has no gradient, so nothing would be learnt"),
        ("dense", "unflatten(1, self.frames)", "unflatten(1, self.frames).detach()", r"the weights of TextToVideo"),
    ],
)
def test_what_would_train_nothing_is_named_in_the_first_step(project, file, old, new, told):
    path = project / "extensions/training" / f"{file}.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    params = tiny_params(**settings("train"), total_clips=16, penalty_every=1)
    check_references(params.train)
    trainer = Trainer(Rank(0, 1, CPU), Run(1, params.clip, params.train, 20), tiny_set(project / "data"))
    with pytest.raises(UserError, match=told):
        trainer.train()


class Said(NoMonitor):
    """Keeps what the training warns of."""

    def __init__(self):
        self.lines = []

    def warn(self, message):
        self.lines.append(message)


def train_changed(project, file, *changes):
    """What the training says when parts of an example's code are replaced."""
    path = project / "extensions/training" / f"{file}.py"
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    said = Said()
    params = tiny_params(**settings("train"), total_clips=16, penalty_every=1)
    run = Run(1, params.clip, params.train, 20)
    Trainer(Rank(0, 1, CPU), run, tiny_set(project / "data"), monitor=said).train()
    return [line for line in said.lines if line.startswith("train.generator")]


DRAWN = "torch.tanh(self.pixels(hidden)).unflatten(1, self.frames)"
SHOWN = "self.pixels(hidden).unflatten(1, self.frames)"
OWN = "train.generator.kind: 'extensions.training.dense:DenseGenerator' returns"


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (DRAWN, []),
        (f"{DRAWN} + 0.01 * torch.randn(len(z), *self.frames)", ["other clips for the same noise"]),
        (f"127.5 * {DRAWN} + 127.5", ["values from "]),
        (f"9 * torch.randn(len(z), *self.frames) + {SHOWN}", ["other clips for the same noise", "values from "]),
    ],
)
def test_a_generator_with_noise_of_its_own_or_values_that_no_clip_has_is_told_once(project, new, told):
    found = train_changed(project, "dense", (DRAWN, new))
    assert len(found) == len(told)
    for line, start in zip(sorted(found), told, strict=True):
        assert line.startswith(f"{OWN} {start}")


@pytest.mark.usefixtures("project")
def test_a_look_at_the_generator_changes_no_noise_of_the_training():
    params = tiny_params(**settings("train"))
    network = TextToVideo(params.clip, params.train, 20)
    network.generator.forward = lambda z, _: torch.randn(len(z), 3, 8, 16, 16)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    assert set(find_oddities(network, trained=False)) == {"noise", "range"}
    assert torch.equal(torch.rand(3), expected)


def test_code_of_ones_own_is_named_where_a_value_is_not_finite(project):
    with pytest.raises(UserError, match=r"capped_r1 was nan at step 1 of 2.*due to code of your own: .*:capped_r1"):
        train_changed(project, "capped", (" - 1)", " - 1) * float('nan')"))


def test_a_discriminator_that_scores_something_else_is_named(project):
    path = project / "extensions/training/joined.py"
    text = path.read_text(encoding="utf-8")
    assert ".squeeze(1)" in text
    path.write_text(text.replace(".squeeze(1)", ""), encoding="utf-8")
    params = tiny_params(discriminator=settings("train")["discriminator"])
    network = CaptionedDiscriminator(params.clip, params.train, 20)
    with pytest.raises(UserError, match=r"^train\.discriminator: JoinedDiscriminator scores \[2, 1\]; it must be"):
        network(torch.zeros(2, 3, 8, 16, 16), torch.ones(2, 3, dtype=torch.long))


@pytest.mark.parametrize(
    ("body", "told"),
    [("return None", "NoneType at index 0"), ("return [{}]", "dict at index 0"), ("yield 5", "int at index 0")],
)
def test_a_reader_that_returns_something_else_is_named(project, body, told):
    (project / "extensions/filter/wrong.py").write_text(f"def read(labels, dataset):\n    {body}\n", encoding="utf-8")
    tree = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    dataset = check_params(merged(tree, {"dataset": {"format": "extensions.filter.wrong:read"}}), "wrong").dataset
    with pytest.raises(UserError, match=f"^dataset.format: 'extensions.filter.wrong:read' returned {told}"):
        read_rows(project, dataset)


def test_a_reader_of_ones_own_reads_rows(project):
    labels = project / "labels.txt"
    labels.write_text("a.mp4\tpushing a mug\nb.mp4\tlifting a pen\n", encoding="utf-8")
    tree = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    dataset = check_params(merged(tree, {"dataset": settings("dataset")}), "the page").dataset
    rows = read_rows(labels, dataset)
    assert [(row.id, row.label, row.video) for row in rows] == [
        ("a", "pushing a mug", "a.mp4"),
        ("b", "lifting a pen", "b.mp4"),
    ]
    with pytest.raises(UserError, match=r"gone\.txt: no such file"):
        read_rows(project / "gone.txt", dataset)


@pytest.mark.usefixtures("project")
def test_a_metric_of_ones_own_is_evaluated_and_its_control_checked():
    (reference_to_metric,) = settings("evaluate")["metrics"]
    metrics = {
        name: metric
        for name, metric in select_metrics([reference_to_metric]).items()
        if name == reference_to_metric.partition(":")[2]
    }
    real = measured(60, seed=1)
    frozen = measured(60, frames=np.repeat(real.frames[:, :1], 2, axis=1))
    sets = {"model": measured(60, seed=2), REAL: real, FROZEN: frozen}
    table = {name: measure_all(metrics, clips, reference(real)) for name, clips in sets.items()}
    assert table[REAL]["change_of_frames"].value == pytest.approx(1)
    assert table[FROZEN]["change_of_frames"].value == 0
    assert table["model"]["change_of_frames"].value == pytest.approx(1, abs=0.1)
    (check,) = check_controls(table, {name: metric.requirements for name, metric in metrics.items()}, real, 1)
    assert check.passed


def test_an_object_of_the_demo_is_drawn(monkeypatch):
    monkeypatch.setattr(objects, "OBJECTS", dict(objects.OBJECTS))
    space = dict(vars(objects))
    exec(FILES["pipeline/demo/objects.py"], space)
    entry = re.search(r"Add `\"traffic light\": (.*?)` to `OBJECTS`", PAGE.text)[1]
    objects.OBJECTS["traffic light"] = eval(entry, space)
    sprite, extent = objects.draw_object("traffic light", (0.0, -1.0), np.random.default_rng(0))
    assert extent == 0.45
    left, top, right, bottom = sprite.bounds
    assert right - left < bottom - top < 2.4 and np.asarray(sprite.alpha()).max() == 255
