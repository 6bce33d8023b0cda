"""A tiny run on given word vectors: it trains, and speaks of a word that it never saw."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import typer
from settings import tokenizing
from training_sets import tiny_params, write_project

from pipeline.cli.sample import sample
from pipeline.data.dataset import DataFolders
from pipeline.errors import UserError
from pipeline.params import EmbeddingParams
from pipeline.records import VECTORS, Caption, Clip
from pipeline.tables import read_table, write_table
from pipeline.text.embeddings import make_embeddings, write_embeddings
from pipeline.text.vocabulary import read_vocabulary
from stages import render_samples as stage
from stages.train_model import main


@pytest.fixture(scope="module", params=[("transformer", "caption"), ("mean", "object")])
def trained(request, tmp_path_factory):
    """A project with a model trained for two steps on vectors by company and spelling."""
    encoder, conditioning = request.param
    captions = {"encoder": encoder, "conditioning": conditioning, "heads": 2, "words": "frozen"}
    project = write_project(tmp_path_factory.mktemp("given") / "project", total_clips=16, captions=captions)
    tables = project / "data" / "captions"
    tokens = [caption.tokens for caption in read_table(tables / "captions.parquet", Caption)]
    options = EmbeddingParams(**tokenizing().embeddings.model_dump() | {"source": "subword", "width": 64})
    vocabulary = read_vocabulary(tables / "vocabulary.json")
    write_embeddings(tables / VECTORS, make_embeddings(vocabulary, tokens, options, project))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T2V_DEVICES", "cpu")
        patch.chdir(project)
        main()
    return project


def frames(trained, folder, thing):
    """Clips for a caption with the thing in it."""
    app = typer.Typer()
    app.command()(sample)
    words = [f"pushing a {thing} from left to right", "-o", str(folder / "out.npz")]
    app([*words, "--model", str(trained / "data/model")], standalone_mode=False)
    with np.load(folder / "out.npz") as file:
        return file["frames"].astype(int)


@pytest.mark.slow
def test_an_unseen_word_is_shown_as_the_seen_one_that_it_is_near_to(trained, tmp_path, capsys):
    mugs, mug, pen = (frames(trained, tmp_path, thing) for thing in ("mugs", "mug", "pen"))
    assert np.abs(mugs - mug).mean() < np.abs(mugs - pen).mean()
    assert "never seen" not in capsys.readouterr().err


def test_the_vectors_lie_beside_the_model(trained):
    assert (trained / "data/model" / VECTORS).read_bytes() == (trained / "data/captions" / VECTORS).read_bytes()


def rendered(trained, monkeypatch, out, new_words, labels=None):
    """The rows of the grid."""
    seen = []
    monkeypatch.setattr(stage, "export_samples", lambda rows, *_, **__: seen.append(rows))
    data = trained / "data"
    folders = DataFolders(labels or data / "labels", data / "clips", data / "captions")
    options = tiny_params().render.model_copy(update={"new_words": new_words})
    stage.render_samples(folders, data / "model", out, options)
    return seen[0]


def test_new_words_stand_beside_their_neighbours_in_rows_of_their_own(trained, tmp_path, monkeypatch):
    rows = rendered(trained, monkeypatch, tmp_path, ["mugs", "notebook"])
    assert [row.title.split(" -> ")[0] for row in rows[2:]] == ["mugs", "mugs", "notebook", "notebook"]
    assert rows[2].title.split()[2] == "mug" and rows[4].title.split()[2] == "book"
    assert rows[2].title.endswith(": Pushing [something] from left to right")
    assert [block.title for block in rows[2].blocks] == ["generated, seed 1", "generated, seed 2", "real"]
    assert [[w.label for w in block.windows] for block in rows[2].blocks] == [["mugs", "mug"]] * 2 + [["mug"]]
    assert np.array_equal(rows[2].blocks[0].windows[1].frames, rows[0].blocks[0].windows[1].frames)  # both the mug
    windows = (*rows[2].blocks[0].windows, rows[0].blocks[0].windows[2])
    unseen, near, other = (window.frames.astype(int) for window in windows)
    assert np.abs(unseen - near).mean() < np.abs(unseen - other).mean()


def test_words_that_cannot_be_tried_are_named(trained, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="training shows 'mug' already"):
        rendered(trained, monkeypatch, tmp_path, ["mug"])
    with pytest.raises(UserError, match=r"there is no vector for '\?!'"):
        rendered(trained, monkeypatch, tmp_path, ["?!"])


def test_an_object_held_out_of_training_is_titled_with_its_neighbour(trained, tmp_path, monkeypatch):
    clips = read_table(trained / "data/labels/clips.parquet", Clip)
    held = [replace(clip, split="test_words") if clip.objects == ("mug",) else clip for clip in clips]
    labels = shutil.copytree(trained / "data/labels", tmp_path / "labels")
    write_table(labels / "clips.parquet", Clip, held)
    rows = rendered(trained, monkeypatch, tmp_path, [], labels)
    assert [row.title.split("   ")[1][:32] for row in rows] == ["(* held out of training; mug -> "] * 2
