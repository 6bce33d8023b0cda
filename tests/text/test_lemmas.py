"""Lemmas, and spaCy models in place of the plain rules."""

from importlib.util import find_spec

import pytest
import spacy
from captions import TEMPLATES, object_tokens, pushed
from settings import tokenizing

from pipeline.errors import UserError
from pipeline.records import Clip
from pipeline.tables import write_table
from pipeline.text import tokenizer
from pipeline.text.captions import tokenize_clips
from pipeline.text.tokenizer import KEPT, encode, lemmatise, tokenize
from stages.tokenize_captions import tokenize_captions

needs_table = pytest.mark.skipif(
    find_spec("spacy_lookups_data") is None, reason="spaCy's table of lemmas, t2v[lemmas], is not installed"
)
DIRECTIONS = """
left right up down onto off on into out of over under behind away towards clockwise falling rolling upright top front
lower higher closer nearest inside outside through across around along from to not without
""".split()  # noqa: SIM905


def lemmas_of(text, model=None):
    """The lemmas of a caption, joined."""
    (lemmas,) = lemmatise([tokenize(text)], model)
    return " ".join(lemmas)


@needs_table
def test_things_and_doings_become_their_lemmas():
    assert lemmas_of("Pushing two boxes with mice") == "push two box with mouse"


@needs_table
@pytest.mark.parametrize("word", [word for word in DIRECTIONS if word != "of" and word != "without"])
def test_directions_stay_as_they_are(word):
    assert word in KEPT
    assert lemmas_of(word) == word


@needs_table
def test_every_official_category_keeps_its_directions_and_its_length():
    if not TEMPLATES.exists():
        pytest.skip("shared/data, the real category names, is not here")
    templates = [tokenize(template) for template in TEMPLATES.read_text(encoding="utf-8").splitlines()]
    for words, lemmas in zip(templates, lemmatise(templates), strict=True):
        assert [lemma for word, lemma in zip(words, lemmas, strict=True) if word in DIRECTIONS] == [
            word for word in words if word in DIRECTIONS
        ]
        assert "leave" not in lemmas


@needs_table
def test_the_vocabulary_holds_lemmas_and_reads_typed_captions_by_them():
    done = tokenize_clips([pushed("1", "boxes"), pushed("2", "mug")], tokenizing(lemmas=True))
    assert [object_tokens(caption) for caption in done.captions] == [("box",), ("mug",)]
    assert done.vocabulary.actions == ("push * from left to right",)
    typed = encode("pushes a mugs from left to right", done.vocabulary, 32)
    assert (object_tokens(typed.caption), typed.unknown) == (("mug",), ())
    assert typed.caption.token_ids[0] == done.captions[0].token_ids[0]


@needs_table
def test_the_table_of_lemmas_changes_no_token():
    before = tokenize("Colours don't fade, cos they're OK")
    list(lemmatise([before]))
    assert tokenize("Colours don't fade, cos they're OK") == before


def test_a_missing_table_says_what_to_install(monkeypatch):
    def missing(**_):
        raise ValueError("[E955] Can't find table(s) lemma_lookup")

    monkeypatch.setattr("spacy.pipeline.lemmatizer.load_lookups", missing)
    tokenizer._load_lemmatizer.cache_clear()
    with pytest.raises(UserError, match=r"tokenize\.lemmas: .*\.\[lemmas\]"):
        list(lemmatise([("a",)]))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A spaCy model on disk that cuts words at an underscore too and knows two lemmas."""
    nlp = spacy.blank("en")
    lookups = spacy.lookups.Lookups()
    lookups.add_table("lemma_lookup", {"mugs": "mug", "left": "leave", "pushing": "PUSH!"})
    nlp.add_pipe("lemmatizer", config={"mode": "lookup"}).initialize(lookups=lookups)
    nlp.tokenizer.add_special_case("takeaway", [{"ORTH": "take"}, {"ORTH": "away"}])
    nlp.tokenizer.add_special_case("o'takeaway", [{"ORTH": "o'take"}, {"ORTH": "away"}])
    path = tmp_path_factory.mktemp("spacy") / "model"
    nlp.to_disk(path)
    return str(path)


def test_a_model_in_a_folder_parts_words_and_makes_lemmas(model):
    assert tokenize("an o'takeaway", model) == ("an", "o'take", "away")
    assert tokenize("an o'takeaway") == ("an", "o'takeaway")
    assert lemmas_of("pushing mugs left", model) == "pushing mug left"  # no lemma holds a sign, and left stays


def test_a_typed_caption_is_parted_by_the_model_of_training(model):
    done = tokenize_clips([pushed("1", "o'takeaway")], tokenizing(model=model, lemmas=True))
    assert encode("pushing mugs o'takeaway", done.vocabulary, 9).caption.tokens == ("pushing", "mug", "o'take", "away")


def test_held_out_words_that_training_has_in_another_form_are_told(model, tmp_path, capsys):
    held = [pushed("1", "mug", "test_words"), pushed("2", "cup", "test_words")]
    write_table(tmp_path / "clips.parquet", Clip, [*held, pushed("3", "mugs")])
    tokenize_captions(tmp_path, tmp_path, tmp_path / "with", tokenizing(model=model, lemmas=True))
    told = (
        "tokenize.lemmas makes held-out words the same as words of the train split, in brackets: mug (mugs); add these"
    )
    assert told in capsys.readouterr().out
    tokenize_captions(tmp_path, tmp_path, tmp_path / "without", tokenizing(model=model, lemmas=False))
    assert "held-out" not in capsys.readouterr().out


def test_a_model_without_lemmas_and_one_that_is_not_there_are_named(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "plain")
    with pytest.raises(UserError, match=r"tokenize\.lemmas: the spaCy model .*plain makes no lemmas"):
        list(lemmatise([("a",)], str(tmp_path / "plain")))
    with pytest.raises(UserError, match=r"tokenize\.model: spaCy cannot load 'en_none_sm'.*spacy download en_none_sm"):
        tokenize("a", "en_none_sm")
    (tmp_path / "config.cfg").write_text("nonsense")
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(UserError, match=r"tokenize\.model: spaCy cannot load"):
        tokenize("a", str(tmp_path))
