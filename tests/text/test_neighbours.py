"""Neighbours by cosine, and `t2v words near`."""

import pytest
import typer
from made import make_clip

from pipeline.cli.words import app
from pipeline.errors import UserError
from pipeline.records import Clip
from pipeline.tables import write_table
from pipeline.text.neighbours import embed_names, rank_neighbours
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
    chosen = [make_clip(name, f"pushing a {name}", split, objects=(name,)) for name, split in objects.items()]
    write_table(tmp_path / "labels" / "clips.parquet", Clip, chosen)
    write_vocabulary(tmp_path / "captions" / "vocabulary.json", VOCABULARY)
    places = ["--labels", str(tmp_path / "labels"), "--captions", str(tmp_path / "captions")]
    typer.main.get_command(app)(["near", *words, *places], standalone_mode=False)


def test_only_objects_that_training_sees_are_listed(tmp_path, vec, capsys):
    near(tmp_path, "album", "--vectors", str(vec))
    assert capsys.readouterr().out.split()[3:] == ["object", "cosine", "clips", "book", "0.80", "1", "mug", "0.60", "1"]


def test_a_word_without_a_vector_and_words_that_are_learned_say_what_to_do(tmp_path, vec):
    with pytest.raises(UserError, match=r"words\.vec: has no vector for 'penny'"):
        near(tmp_path, "penny", "--vectors", str(vec))
    with pytest.raises(UserError, match="give a file with --vectors"):
        near(tmp_path, "album")
