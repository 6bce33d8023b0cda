"""Captions -> words."""

import re
import subprocess
import sys
import time
import types
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from locations import SHARED

from pipeline.text import tokenizer
from pipeline.text.tokenizer import tokenize

TEMPLATES = SHARED / "labels" / "something-v2-templates.txt"


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("Pushing a Book from left to right", "pushing a book from left to right"),
        ("moving it left, then right.", "moving it left then right"),
        ("left/right and up-down", "left right and up down"),
        ("pushing a t-shirt", "pushing a t shirt"),
        ("(without moving) 'a box' \"pen\"", "without moving a box pen"),
        ("it doesn't or almost doesn't move", "it does not or almost does not move"),
        ("it doesn’t, cannot, can't and won`t fall", "it does not can not can not and will not fall"),  # noqa: RUF001
        ("a person's id card; my dogs' ball", "a person 's id card my dogs ball"),
        ("2.5 usd, $5 + 3", "2.5 usd 5 3"),
        ("box.from file_name.txt", "box from file name txt"),
        ("müsli", "müsli"),
        ("a\x7fb\u200bc\ud800d", "a b c d"),
        ("推 盒子 👍", "推 盒子"),
        ("ﬁle", "file"),
        ("", ""),
        (" ?! -- … 👍 \x00", ""),
    ],
)
def test_a_caption_becomes_these_words(caption, words):
    assert tokenize(caption) == tuple(words.split())


def test_every_official_template_keeps_all_its_words():
    if not TEMPLATES.exists():
        pytest.skip("shared/data, the real category names, is not here")
    for template in TEMPLATES.read_text(encoding="utf-8").splitlines():
        plain = re.sub(r"[(),]", "", template.lower()).replace("can't", "can not").replace("n't", " not")
        assert tokenize(template) == tuple(plain.replace("cannot", "can not").split())


@given(st.text(st.characters(exclude_categories=()), max_size=80))
def test_any_text_becomes_lower_case_words_each_with_a_letter_or_digit(text):
    for word in tokenize(text):
        assert word == word.lower() and any(letter.isalnum() for letter in word) and " " not in word


@given(st.lists(st.from_regex(r"[a-z]{3,8}", fullmatch=True), max_size=8))
def test_plain_words_stay_as_they_are(words):
    assert tokenize(" ".join(words)) == tuple(words)


@pytest.mark.parametrize("piece", ["a", "'", "_", "'s", "a.", "n't", "word "])
def test_ten_thousand_characters_cost_less_than_a_second(piece):
    start = time.process_time()
    tokenize(piece * (10_000 // len(piece)))
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "caption",
    [
        "किताब को ऊपर ले जाना",  # Hindi
        "பந்தை தள்ளுதல்",  # Tamil
        "ผลัก หนังสือ น้ำ ไม้",  # Thai
        "كِتَابٌ عَلَى الطَّاوِلَةِ",  # vocalised Arabic
        "می‌خواهم کتاب",  # Persian, with a joiner in a word
        "বই উপরে তোলা",  # Bengali
        "שָׁלוֹם יְלָדִים",  # pointed Hebrew
    ],
)
def test_the_words_of_every_script_keep_their_marks(caption):
    words = unicodedata.normalize("NFKC", caption).split()
    assert tokenize(caption) == tuple(words)


@pytest.mark.parametrize(
    ("one", "other"),
    [("ผ้า", "ผา"), ("ไม้", "ไม่"), ("कि", "की"), ("दिन", "दीन"), ("பல்", "பால்"), ("كَتَبَ", "كُتُب"), ("x\u0301", "x")],
)
def test_words_that_differ_in_a_mark_alone_are_two_words(one, other):
    assert len({tokenize(one), tokenize(other)}) == 2
    assert len(tokenize(one)) == len(tokenize(other)) == 1


def test_a_mark_of_its_own_is_no_word_and_a_variant_of_a_sign_is_the_sign():
    assert tokenize("\u0301 \u0e31") == ()
    assert tokenize("1\ufe0f\u20e3 👍\ufe0f") == ("1",)


@pytest.fixture
def bare_machine(monkeypatch):
    """spaCy on a machine that lacks what it needs for Chinese and Japanese."""
    for name in ("jieba", "sudachipy"):
        monkeypatch.setitem(sys.modules, name, None)
    tokenizer._load_unspaced.cache_clear()
    yield
    tokenizer._load_unspaced.cache_clear()


@pytest.mark.usefixtures("bare_machine")
def test_chinese_and_japanese_without_their_packages_are_told_of_once(capsys):
    assert tokenize("推 盒子") == ("推", "盒子")
    assert tokenize("推盒子, pushing it") == ("推盒子", "pushing", "it")
    assert tokenize("本を押す") == ("本を押す",)
    tokenize("本を引く")
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "Chinese captions are split at spaces and punctuation only; `pip install jieba`" in told[0]
    assert "Japanese captions" in told[1] and "sudachipy sudachidict_core" in told[1]


@pytest.mark.usefixtures("bare_machine")
def test_chinese_is_split_by_spacys_rules_where_their_package_is_there(monkeypatch, capsys):
    parts = {"推盒子": ["推", "盒子"], "把书": ["把", "书"]}
    jieba = types.SimpleNamespace(cut=lambda text, **_: parts.get(text, [text]))
    monkeypatch.setitem(sys.modules, "jieba", jieba)
    assert tokenize("推盒子, doesn't 把书") == ("推", "盒子", "does", "not", "把", "书")
    assert capsys.readouterr().err == ""


class Never:
    """A pattern that nothing matches."""

    def fullmatch(self, text):  # noqa: ARG002
        return None


@given(st.text(alphabet='abcdeikmnostuz .,;:!?()"-', max_size=40))
@example("i cannot; cannot-do, e.g. u.s. x.com a--b (c)")
@example("dont gonna wanna")
def test_plain_english_without_spacy_is_what_spacy_makes_of_it(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer, "PLAIN", Never())
        expected = tokenize(text)
    assert tokenize(text) == expected


def test_plain_english_loads_no_spacy():
    code = "from pipeline.text.tokenizer import tokenize; import sys; print(tokenize('A mug.'), 'spacy' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "('a', 'mug') False\n"
