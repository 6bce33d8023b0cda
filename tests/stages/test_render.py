"""The stage `render`, on a network that has been trained for two steps."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from provenance import read_provenance
from settings import changed
from training_sets import H, T, W, tiny_clips, tiny_params, train_project, write_data

from pipeline import inference as sampling
from pipeline.data.dataset import DataFolders
from pipeline.data.sampler import draw_noise
from pipeline.errors import UserError
from pipeline.files import digest_file
from pipeline.inference import Model
from stages import render_samples as stage

CAPTION = "pushing a mug from left to right"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with a trained model. Shared: work in it, write nothing."""
    return train_project(tmp_path_factory.mktemp("trained") / "project", total_clips=16)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def render(trained, out, new_words=(), **places):
    data = trained / "data"
    places = {name: data / name for name in ("labels", "clips", "captions", "model")} | places
    model = places.pop("model")
    options = tiny_params().render.model_copy(update={"new_words": list(new_words)})
    stage.render_samples(DataFolders(**places), model, out, options)


@pytest.mark.slow
def test_the_grid_comes_as_picture_gif_film_and_clips_and_each_names_its_model(trained, folder):
    render(trained, folder / "one")
    render(trained, folder / "two")
    assert sorted(path.name for path in (folder / "one").iterdir()) == ["grid.gif", "grid.mp4", "grid.npz", "grid.png"]
    for path in (folder / "one").iterdir():
        assert path.read_bytes() == (folder / "two" / path.name).read_bytes()
        told = read_provenance(path)
        assert told["model"] == digest_file(trained / "data/model/generator.safetensors")
        assert told["seeds"] == [1, 2]
        assert CAPTION in told["captions"][0]
    with Image.open(folder / "one/grid.gif") as gif:
        assert gif.n_frames == T


def test_there_is_a_block_per_seed_and_one_of_real_clips(trained, folder, monkeypatch):
    seen = []
    monkeypatch.setattr(stage, "export_samples", lambda rows, *_, **__: seen.append(rows))
    render(trained, folder)
    real = {clip.id: frames for clip, frames in tiny_clips()}
    model = Model(trained / "data/model")
    for row in seen[0]:
        assert [block.title for block in row.blocks] == ["generated, seed 1", "generated, seed 2", "real"]
        assert all([w.label for w in block.windows] == ["book", "mug", "pen"] for block in row.blocks)
        assert all(any(np.array_equal(w.frames, clip) for clip in real.values()) for w in row.blocks[2].windows)
        ids = [model.vocabulary.index(word) for word in f"pushing a book {row.title[20:]}".split()]
        expected = sampling.sample(model, [ids], draw_noise(2, 1, model.generator.z_width))[0]
        assert np.abs(row.blocks[1].windows[0].frames.astype(int) - expected).max() <= 1


def test_words_without_vectors_cannot_be_tried_where_words_are_learned(trained, folder):
    with pytest.raises(UserError, match=r"vectors\.safetensors: no such file, but render\.new_words needs vectors"):
        render(trained, folder, ["mugs"])
    with pytest.raises(UserError, match=r"render\.new_words needs vectors for words that are not learned"):
        changed({"render": {"new_words": ["penny"]}})


def test_missing_inputs_of_the_grid_are_named(trained, folder):
    with pytest.raises(UserError, match=r"model\.json: no such file; `dvc repro train` creates it"):
        render(trained, folder, model=folder / "nowhere")
    write_data(folder / "other", tiny_clips(4))
    (folder / "other/clips/index.json").write_text(json.dumps({"shape": [T, H, W, 3], "clips": 0, "shards": []}))
    with pytest.raises(UserError, match="none of its clips has frames"):
        render(trained, folder, clips=folder / "other/clips")


def test_a_model_speaks_as_it_did_in_training(trained):
    """The exported average, read back, gives the frames that training would show."""
    model = Model(trained / "data/model")
    assert not model.generator.training
    assert not any(parameter.requires_grad for parameter in model.generator.parameters())
    assert all(
        p.is_contiguous(memory_format=torch.channels_last_3d) for p in model.generator.parameters() if p.dim() == 5
    )
