"""Neighbours by cosine, and `t2v words near`."""

import json

import numpy as np
import pytest
import typer
from made import make_clip
from safetensors.numpy import save_file

from pipeline.cli.words import app
from pipeline.errors import UserError
from pipeline.files import write_json
from pipeline.records import Clip
from pipeline.tables import write_table
from pipeline.text.embeddings import embed_names, rank_neighbours
from pipeline.text.vector_files import read_vectors
from pipeline.text.vocabulary import Vocabulary, write_vocabulary

ROWS = "book 1 0 0\nalbum 4 3 0\nmug 0 1 0\nred 0 0 2\ncup -3 4 0\n"
VOCABULARY = Vocabulary(("<pad>", "<unk>", "book"))


@pytest.fixture
def vec(tmp_path):
    path = tmp_path / "words.vec"
    path.write_text(ROWS)
    return path


def test_objects_come_nearest_first_with_cosine_and_number_of_clips(vec):
    lookup = embed_names(VOCABULARY, read_vectors(vec, set(), 10).words.get)
    found = rank_neighbours("album", ["mug", "book", "mug", "album", "wug", "red mug"], lookup)
    assert [(near.name, near.clips) for near in found] == [("book", 1), ("mug", 2), ("red mug", 1)]
    assert [near.cosine for near in found] == pytest.approx([0.8, 0.6, 0.6 / 2**0.5])
    assert rank_neighbours("wug", ["mug"], lookup) == []


def near(tmp_path, *words):
    """What the command does in a project whose objects are book, mug and a held-out cup."""
    objects = {"book": "train", "mug": "train", "cup": "test_words"}
    clips = [make_clip(name, f"pushing a {name}", split, objects=(name,)) for name, split in objects.items()]
    list_near(tmp_path, clips, *words)


def list_near(tmp_path, clips, *words):
    """The same in a project of these clips."""
    write_table(tmp_path / "labels" / "clips.parquet", Clip, clips)
    write_vocabulary(tmp_path / "captions" / "vocabulary.json", VOCABULARY)
    places = ["--labels", str(tmp_path / "labels"), "--captions", str(tmp_path / "captions")]
    typer.main.get_command(app)(["near", *words, *places], standalone_mode=False)


def test_only_objects_that_training_sees_are_listed(tmp_path, vec, capsys):
    near(tmp_path, "album", "--vectors", str(vec))
    assert capsys.readouterr().out.split()[3:] == ["cosine", "clips", "book", "0.80", "1", "mug", "0.60", "1"]
    near(tmp_path, "album", "--vectors", str(vec), "--json", "--count", "1")
    assert json.loads(capsys.readouterr().out) == [{"name": "book", "cosine": pytest.approx(0.8), "clips": 1}]


def test_captions_that_name_no_object_have_none_to_list(tmp_path, vec):
    clip = make_clip("a", "a car turns left", "train", objects=())
    with pytest.raises(UserError, match="no clip of the train split has an object to list"):
        list_near(tmp_path, [clip], "album", "--vectors", str(vec))


def test_words_that_a_generator_has_learned_are_compared_as_it_tells_them_apart(tmp_path, capsys):
    """By what its objects are conditioned on, not by the encoder of the whole caption."""
    words = ["<pad>", "<unk>", "book", "mug", "album"]
    rows = np.array([[0, 0], [0, 0], [1, 0], [0, 1], [4, 3]], np.float32)
    write_json(tmp_path / "model/model.json", {"vocabulary": {"words": words}})
    tensors = {
        "object_encoder.words.embedding.weight": rows,
        "caption_encoder.words.embedding.weight": rows[:, ::-1].copy(),
    }
    save_file(tensors, tmp_path / "model/generator.safetensors")
    near(tmp_path, "album", "--model", str(tmp_path / "model"))
    assert capsys.readouterr().out.split()[5:] == ["book", "0.80", "1", "mug", "0.60", "1"]
    with pytest.raises(UserError, match=r"generator\.safetensors: has no vector for 'penny'"):
        near(tmp_path, "penny", "--model", str(tmp_path / "model"))
    (tmp_path / "model/generator.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"generator\.safetensors: no word embeddings in it"):
        near(tmp_path, "album", "--model", str(tmp_path / "model"))


def test_a_word_without_a_vector_and_words_that_are_learned_say_what_to_do(tmp_path, vec):
    with pytest.raises(UserError, match=r"words\.vec: has no vector for 'penny'"):
        near(tmp_path, "penny", "--vectors", str(vec))
    with pytest.raises(UserError, match="give a file with --vectors"):
        near(tmp_path, "album", "--model", str(tmp_path / "none"))
