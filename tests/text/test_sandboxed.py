"""Word vectors read in a sandbox: the same vectors, and nothing but vectors, whatever a file does to the reader."""

import json
import math
import struct
from functools import partial

import numpy as np
import planted_readers
import pytest
import spacy
from settings import tokenizing

from pipeline.compute.child import BadAnswer, pack_texts
from pipeline.compute.isolation import find_missing
from pipeline.errors import UserError
from pipeline.params import EmbeddingParams
from pipeline.text import sandboxed as module
from pipeline.text.captions import read_sandboxed_source
from pipeline.text.embeddings import read_source
from pipeline.text.sandboxed import read_vector_file
from pipeline.text.vector_files import FoundVectors

sandboxed = pytest.mark.skipif(bool(find_missing()), reason=f"this kernel lacks {find_missing()}")
LINES = "the 9 9 9\nbook 1 2 3\nbad 1 2\nalbum 1 2 4\n\nM\u00fcsli 0 1 0.1\nthe 1 1 1\n"
TWO = struct.pack("=6f", 1, 2, 3, 4, 5, 6) + pack_texts(["book", "mug"])
SHAPE = {"count": 2, "width": 3, "warnings": []}
receive = partial(module._receive_vectors, ["book", "mug"], 1)


@pytest.fixture
def vec(tmp_path):
    (tmp_path / "words.vec").write_text(LINES)
    return tmp_path / "words.vec"


def same(found, expected):
    assert list(found.words) == list(expected.words)
    assert all(np.array_equal(found.words[word], vector) for word, vector in expected.words.items())
    assert found.warnings == expected.warnings
    assert {vector.dtype for vector in found.words.values()} <= {np.dtype(np.float32)}


@pytest.mark.parametrize(("wanted", "first"), [(["book", "album"], 2), ([], 0)])
def test_a_file_is_read_in_a_sandbox_as_in_this_process(vec, wanted, first):
    found = read_vector_file(vec, wanted, first, "auto")
    same(found, read_vector_file(vec, wanted, first, "off"))
    assert len(found.words) == (4 if first else 0)
    assert found.warnings


def test_what_is_wrong_with_a_file_is_told_as_in_this_process(tmp_path):
    for mode in ("off", "auto"):
        with pytest.raises(UserError, match=r"\A\S+/none\.vec: no such file of word vectors; put it there"):
            read_vector_file(tmp_path / "none.vec", ["book"], 0, mode)


@pytest.mark.slow
def test_a_spacy_model_is_read_in_a_sandbox_as_in_this_process(tmp_path):
    model = spacy.blank("en")
    for word, row in {"the": [9, 9, 9], "book": [1, 2, 3]}.items():
        model.vocab.set_vector(word, np.array(row, np.float32))
    model.to_disk(tmp_path / "nlp")
    shown = tokenizing().embeddings.model_dump() | {"source": "spacy", "spare_words": 2}
    options = EmbeddingParams(**shown)
    found = read_sandboxed_source(["book", "mug"], options, tmp_path / "nlp", "auto")
    same(found, read_source(["book", "mug"], options, tmp_path / "nlp"))
    assert list(found.words) == ["book", "the"]


@pytest.mark.slow
def test_a_sentence_model_is_read_in_a_sandbox_as_in_this_process(tmp_path):
    """A tiny transformer, for which torch makes machine code."""
    library = pytest.importorskip("sentence_transformers", reason="needs the extra `sentence`")
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nbook\nmug\n")
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=7, **shape)).save_pretrained(tmp_path)
    library.SentenceTransformer(modules=[Transformer(str(tmp_path)), Pooling(32)]).save(str(tmp_path / "st"))
    options = EmbeddingParams(**tokenizing().embeddings.model_dump() | {"source": "sentence"})
    found = read_sandboxed_source(["book", "mug"], options, tmp_path / "st", "auto")
    same(found, read_source(["book", "mug"], options, tmp_path / "st"))


def test_an_answer_with_vectors_is_taken():
    found = receive({**SHAPE, "warnings": ["a \x1b[31m row"]}, bytearray(TWO))
    assert {word: vector.tolist() for word, vector in found.words.items()} == {"book": [1, 2, 3], "mug": [4, 5, 6]}
    assert found.warnings == ["a \\x1b[31m row"]
    assert receive({"count": 0, "width": 0, "warnings": []}, bytearray()) == FoundVectors({}, [])


@pytest.mark.parametrize(
    ("change", "content"),
    [
        ({"count": "2"}, TWO),
        ({"count": 1 << 60}, TWO),
        ({"count": -2, "width": -3}, TWO),
        ({"count": 0, "width": 3}, TWO),
        ({"width": 2}, TWO),
        ({"width": None}, TWO),
        ({"warnings": [1]}, TWO),
        ({"warnings": [""] * 1000}, TWO),
        ({"more": 1}, TWO),
        ({}, TWO[:-1] + b"\xff"),
        ({}, struct.pack("=6f", 1, 2, 3, 4, 5, math.nan) + pack_texts(["book", "mug"])),
        ({}, struct.pack("=6f", *range(6)) + pack_texts(["book", "book"])),
        ({}, struct.pack("=6f", *range(6)) + pack_texts(["two", "others"])),
        ({}, struct.pack("=6f", *range(6)) + pack_texts(["book", "mug", "pen"])),
    ],
)
def test_an_answer_that_holds_no_such_vectors_is_refused(change, content):
    with pytest.raises((BadAnswer, UnicodeDecodeError)):
        receive(SHAPE | change, bytearray(content))


@sandboxed
@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        ({"attempt": "read-secret"}, r"\Arefused: PermissionError\(13, 'Permission denied'\)\Z"),
        (
            {"answer": SHAPE, "content": TWO.hex()},
            r"\A\S+/words\.vec: cannot be read: .* sent an invalid answer: .* words",
        ),
        pytest.param({"attempt": "write-outside"}, r"\Arefused: PermissionError\(13,", marks=pytest.mark.slow),
        pytest.param({"attempt": "connect"}, r"\A\S+/words\.vec: cannot be read: .*SIGSYS", marks=pytest.mark.slow),
        pytest.param({"attempt": "send-pickle"}, r"words\.vec: .* a message of kind b'c'", marks=pytest.mark.slow),
    ],
)
def test_a_reader_that_is_taken_over_does_nothing_and_is_told_in_one_message(vec, monkeypatch, attempt, message):
    monkeypatch.setattr(module, "_send_vectors", planted_readers.send_vectors)
    (vec.parent / "home").mkdir()
    (vec.parent / "home" / "secret").write_text("secret")
    plan = {"secret": str(vec.parent / "home" / "secret"), "outside": str(vec.parent / "home" / "made"), "port": "1"}
    vec.write_text(json.dumps(plan | attempt))
    with pytest.raises(UserError, match=message):
        read_vector_file(vec, ["pen"], 1, "auto")
    assert [path.name for path in (vec.parent / "home").iterdir()] == ["secret"]
