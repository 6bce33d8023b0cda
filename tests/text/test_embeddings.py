"""Every source of word vectors, on files and models that the test makes."""

from pathlib import Path

import numpy as np
import pytest
import spacy
from settings import tokenizing

from pipeline.errors import UserError
from pipeline.params import EmbeddingParams
from pipeline.text.embeddings import compute_unseen_vector, make_embeddings, read_embeddings, write_embeddings
from pipeline.text.vocabulary import build_vocabulary

CAPTIONS = [f"pushing a {thing} from left to right".split() for thing in ("book", "mug", "book")]
VOCABULARY = build_vocabulary(CAPTIONS, 1).with_unlearned(["album"])  # album: heard in a held-out caption alone
ROWS = {
    "the": [9, 9, 9],
    "book": [1, 2, 3],
    "album": [1, 2, 4],
    "mug": [-3, 0, 1],
    "penny": [5, 5, 0.1],
    "left": [0, 1, 0],
}


def make(path, **options):
    shown = tokenizing().embeddings.model_dump() | {"width": 64, "spare_words": 2}
    return make_embeddings(VOCABULARY, CAPTIONS, EmbeddingParams(**shown | options), path)


@pytest.fixture
def vec(tmp_path):
    path = tmp_path / "words.vec"
    path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in ROWS.items()))
    return path


@pytest.fixture
def nlp(tmp_path):
    """A spaCy model with vectors in a folder."""
    model = spacy.blank("en")
    for word, row in ROWS.items():
        model.vocab.set_vector(word, np.array(row, np.float32))
    model.to_disk(tmp_path / "nlp")
    return tmp_path / "nlp"


def assert_holds_the_rows(found):
    """The vectors of the vocabulary, in its order, and as many other words as were asked for."""
    assert found.words == VOCABULARY.words
    for word in VOCABULARY.words:
        assert found.vectors[VOCABULARY.ids[word]].tolist() == ROWS.get(word, [0, 0, 0])
    assert found.find("book").tolist() == ROWS["book"]
    assert found.find("penny") == pytest.approx(ROWS["penny"], rel=1e-3)
    assert found.find("xylophone") is None
    assert found.find("a") is None
    assert set(found.list_missing()) == {"a", "from", "pushing", "right", "to"}


def test_learned_words_have_no_vectors_here(tmp_path):
    assert make(tmp_path / "nowhere", source="learned") is None
    assert read_embeddings(tmp_path / "nowhere") is None


def test_vectors_of_a_file(vec):
    found = make(vec, source="file")
    assert_holds_the_rows(found)
    assert found.spare_words == ("the", "penny")
    assert make(vec, source="file", spare_words=0).find("penny") is None


def test_vectors_of_a_spacy_model_in_a_folder(nlp):
    found = make(nlp, source="spacy")
    assert_holds_the_rows(found)
    assert set(found.spare_words) == {"the", "penny"}


def test_a_spacy_model_without_vectors_or_not_there_says_what_to_install(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "bare")
    with pytest.raises(UserError, match="has no word vectors; take an _md or _lg one"):
        make(tmp_path / "bare", source="spacy")
    with pytest.raises(UserError, match=r"no model 'en_nowhere'.*spacy download en_core_web_md"):
        make(tmp_path, source="spacy", package="en_nowhere")
    with pytest.raises(UserError, match=r"no model .*gone"):
        make(tmp_path / "gone", source="spacy")


def test_vectors_by_company_and_spelling_serve_any_word():
    found = make(Path("nowhere"), source="subword")
    learned = found.words[2 : found.learned]
    seen = found.vectors[2 : found.learned]
    assert found.vectors.shape == (len(VOCABULARY), 64)
    assert np.array_equal(found.find("album"), found.vectors[VOCABULARY.ids["album"]])
    assert np.array_equal(found.find("album"), compute_unseen_vector("album", learned, seen))
    assert np.array_equal(found.find("mugs"), compute_unseen_vector("mugs", learned, seen))
    assert found.list_missing() == []


@pytest.mark.parametrize("source", ["file", "subword"])
def test_what_is_written_reads_back_and_equal_vectors_are_equal_bytes(tmp_path, vec, source):
    found = make(vec, source=source)
    for name in ("one", "two"):
        write_embeddings(tmp_path / name, found)
    back = read_embeddings(tmp_path / "one")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert np.array_equal(back.vectors, found.vectors)
    for word in ("book", "penny", "mugs"):
        assert np.array_equal(back.find(word), found.find(word))
    assert (back.words, back.spare_words, back.learned) == (found.words, found.spare_words, found.learned)


def test_a_file_without_a_word_of_the_captions_is_refused(tmp_path):
    (tmp_path / "other.vec").write_text("livre 1 2\ntasse 3 4\n")
    with pytest.raises(UserError, match=r"other\.vec: has no vector for any of a, from"):
        make(tmp_path / "other.vec", source="file")


@pytest.mark.parametrize("data", [b"", b"nonsense" * 9])
def test_a_damaged_file_of_a_model_is_named(tmp_path, data):
    (tmp_path / "vectors.safetensors").write_bytes(data)
    with pytest.raises(UserError, match=r"vectors\.safetensors: not a file of word vectors"):
        read_embeddings(tmp_path / "vectors.safetensors")


@pytest.mark.slow  # the library takes seconds to load
def test_vectors_of_a_sentence_model_in_a_folder(tmp_path):
    """A tiny one: a table of token vectors, the mean of which is the sentence."""
    library = pytest.importorskip("sentence_transformers", reason="needs the extra `sentence`")
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = [*VOCABULARY.words, "penny"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    table = np.random.default_rng(1).normal(size=(len(words), 6)).astype(np.float32)
    library.SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table)]).save(
        str(tmp_path / "st")
    )
    found = make(tmp_path / "st", source="sentence")
    assert np.allclose(found.vectors[2:], table[2 : len(VOCABULARY)])
    assert found.find("penny") is None


def test_a_sentence_model_that_is_not_there_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(
        UserError, match=r"needs sentence-transformers; pip install -c constraints\.txt -e '\.\[sentence\]'"
    ):
        make(tmp_path, source="sentence")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gone", "empty"])
def test_a_folder_that_holds_no_sentence_model_is_named(tmp_path, name):
    pytest.importorskip("sentence_transformers", reason="needs the extra `sentence`")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=name):
        make(tmp_path / name, source="sentence")
