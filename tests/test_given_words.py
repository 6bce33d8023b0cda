"""A tiny run on given word vectors: it trains, and speaks of a word that it never saw."""

import numpy as np
import pytest
import typer
from settings import tokenizing
from training_sets import write_project

from pipeline.cli.sample import sample
from pipeline.params import EmbeddingParams
from pipeline.records import VECTORS, Caption
from pipeline.tables import read_table
from pipeline.text.embeddings import make_embeddings, write_embeddings
from pipeline.text.vocabulary import read_vocabulary
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


def test_an_unseen_word_is_shown_as_the_seen_one_that_it_is_near_to(trained, tmp_path, capsys):
    mugs, mug, pen = (frames(trained, tmp_path, thing) for thing in ("mugs", "mug", "pen"))
    assert np.abs(mugs - mug).mean() < np.abs(mugs - pen).mean()
    assert "never seen" not in capsys.readouterr().err


def test_the_vectors_lie_beside_the_model(trained):
    assert (trained / "data/model" / VECTORS).read_bytes() == (trained / "data/captions" / VECTORS).read_bytes()
