"""A model that was trained by flow: evaluated, rendered and sampled like any other, in as many steps as one likes."""

import json
import shutil

import numpy as np
import pytest
import torch
from evaluation_sets import evaluating, judged
from provenance import read_provenance
from settings import changed
from training_sets import FLOW, train_project
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.data.dataset import DataFolders
from pipeline.errors import UserError
from pipeline.inference import Model
from pipeline.onnx import Graph
from pipeline.params import SamplingParams
from pipeline.sampling import VideoModel, from_pretrained
from stages.evaluate_model import InputFolders, evaluate_model
from stages.export_onnx import export_onnx
from stages.render_samples import render_samples

pytestmark = pytest.mark.slow
PLACES = ("labels", "clips", "captions", "model", "judge")
CAPTION = "pushing a mug from left to right"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Data, a judge and a model. Shared: write nothing into it."""
    folder = tmp_path_factory.mktemp("flow")
    trained = train_project(folder / "project", **FLOW, total_clips=16)
    judged(folder / "data")
    shutil.copytree(trained / "data/model", folder / "data/model")
    return folder / "data"


def sampling(steps, guidance=1.0):
    return SamplingParams(steps=steps, guidance=guidance)


def sample(data, out, *options):
    words = ["sample", CAPTION, "--out", str(out), "--n", "2", "--model", str(data / "model"), *options]
    return CliRunner().invoke(app, words, catch_exceptions=True)


def test_no_discriminator_is_kept(data):
    files = {path.name for path in (data / "model").iterdir()}
    tables = {"history.csv", "model.json", "provenance.json", "training.json", "validation.csv"}
    assert files == {"generator.safetensors", *tables}


def test_it_is_evaluated_without_a_discriminator_and_the_protocol_says_the_steps(data, tmp_path):
    places = InputFolders(**{name: data / name for name in PLACES})
    evaluate_model(places, tmp_path / "one", tmp_path / "one.json", evaluating(), {}, sampling(2, 1.5))
    told, intervals = (json.loads((tmp_path / name).read_text()) for name in ("one.json", "one/intervals.json"))
    assert told["diversity_pixels"] is not None
    for name in ("discriminator_gap", "discriminator_gap_ratio"):
        assert told[name] is None
        assert intervals[name]["reason"] == "the generator was trained by flow, without a discriminator"
    protocol = json.loads((tmp_path / "one/protocol.json").read_text())
    assert (protocol["steps"], protocol["guidance"]) == (2, 1.5)
    assert (tmp_path / "one/logits.csv").read_text() == "set,logit,low,high,clips\n"
    provenance = read_provenance(tmp_path / "one/nearest.png")
    assert (provenance["steps"], provenance["guidance"]) == (2, 1.5)


def test_it_is_rendered_in_the_steps_of_params(data, tmp_path):
    folders, options = DataFolders(*(data / name for name in PLACES[:3])), changed({"render": {"objects": 1}}).render
    pictures = {}
    for steps in (1, 3):
        render_samples(folders, data / "model", tmp_path / str(steps), options, sampling(steps))
        assert read_provenance(tmp_path / str(steps) / "grid.png")["steps"] == steps
        pictures[steps] = (tmp_path / str(steps) / "grid.png").read_bytes()
    assert pictures[1] != pictures[3]


def test_a_typed_caption_is_sampled_in_as_many_steps_as_asked_for(data, tmp_path):
    frames = {}
    for name, options in {
        "as trained": [],
        "four": ["--steps", "4", "--guidance", "1"],
        "one": ["--steps", "1"],
        "guided": ["--guidance", "3"],
    }.items():
        assert sample(data, tmp_path / f"{name}.npz", *options).exit_code == 0
        frames[name] = np.load(tmp_path / f"{name}.npz")["frames"]
    assert np.array_equal(frames["as trained"], frames["four"])  # train.flow.sample_steps
    assert not np.array_equal(frames["one"], frames["four"])


def test_the_steps_of_a_model_are_those_of_its_training_until_params_say_otherwise(data):
    assert Model(data / "model").sampling() == {"steps": 4, "guidance": 1.0}
    model = Model(data / "model", sampling(1, 2.0))
    assert model.sampling() == {"steps": 1, "guidance": 2.0}
    z, ids = torch.zeros(1, model.generator.z_width), torch.tensor([[2, 3]])
    assert model.generator(z, ids).shape == (1, 3, 8, 16, 16)


def draw_twice(model):
    """Two clips, and the steps and the guidance that their provenance names."""
    told = model.provenance(model.encode(CAPTION))
    return model.sample(CAPTION, seed=3, n=2), (told["steps"], told["guidance"])


def test_samples_of_an_exported_graph_have_the_steps_and_guidance_of_params(data, tmp_path):
    """With and without torch; options of a call win."""
    shutil.copytree(data / "model", tmp_path / "model")
    assert draw_twice(VideoModel(tmp_path / "model"))[1] == (4, 1.0)
    export_onnx(tmp_path / "model", tmp_path / "onnx", sampling(1, 2.0))
    assert Graph(tmp_path / "onnx/generator.onnx").about["steps"] == 1
    wanted = VideoModel(tmp_path / "model", exact=True, steps=1, guidance=2.0).sample(CAPTION, seed=3, n=2)
    exact, settings = draw_twice(VideoModel(tmp_path / "model", exact=True))
    assert settings == (1, 2.0)
    assert np.array_equal(exact, wanted)
    by_graph, settings = draw_twice(VideoModel(tmp_path / "model"))
    assert settings == (1, 2.0)
    assert np.abs(by_graph.astype(int) - wanted).max() <= 1
    assert draw_twice(VideoModel(tmp_path / "model", steps=3))[1] == (3, 2.0)


def test_an_exported_folder_is_sampled_with_the_steps_and_guidance_of_params(data, tmp_path, monkeypatch, capsys):
    """A graph for others is not used once its config.json has been edited."""
    shutil.copytree(data / "model", tmp_path / "data/model")
    (tmp_path / "params.yaml").write_text("sampling: {steps: 1, guidance: 2.0}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["export", "mine"], catch_exceptions=False).exit_code == 0
    for exact in (True, False):
        assert draw_twice(from_pretrained("mine", exact=exact))[1] == (1, 2.0)
    assert Model(tmp_path / "mine").describe() == Model(data / "model", sampling(1, 2.0)).describe()
    config = json.loads((tmp_path / "mine/config.json").read_text(encoding="utf-8"))
    config["sampling"]["steps"] = 3
    (tmp_path / "mine/config.json").write_text(json.dumps(config), encoding="utf-8")
    assert draw_twice(from_pretrained("mine", exact=False))[1] == (3, 2.0)
    assert "or for other sampling params" in capsys.readouterr().err
    config["sampling"]["steps"] = "three"
    (tmp_path / "mine/config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match=r"mine/config\.json: sampling: .*; repeat the export"):
        from_pretrained("mine")


def test_no_steps_are_refused_in_one_line(data, tmp_path):
    printed = sample(data, tmp_path / "none.npz", "--steps", "0")
    assert printed.exit_code == 2
    assert "Invalid value for '--steps': Input should be greater than or equal to 1" in printed.output


def test_steps_of_a_generator_that_draws_in_one_pass_are_refused(tmp_path):
    trained = train_project(tmp_path / "gan", total_clips=8)
    printed = sample(trained / "data", tmp_path / "gan.npz", "--steps", "2")
    assert printed.exit_code == 1
    assert not (tmp_path / "gan.npz").exists()
