"""Vectors from company and spelling."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from locations import ROOT

from pipeline.text.embeddings import compute_unseen_vector, compute_vectors, embed_spelling

OBJECTS = ("book", "mug", "tennis ball", "marker", "banana")
CAPTIONS = [
    f"{verb} {article}{thing} {way}".split()
    for verb, article, thing, way in product(
        ("pushing", "pulling"), ("a ", "the ", ""), OBJECTS, ("from left to right", "from right to left")
    )
] + [f"pouring {drink} into a {thing}".split() for drink in ("water", "juice") for thing in ("glass", "jar", "vase")]
WORDS = tuple(sorted({word for caption in CAPTIONS for word in caption}))
VECTORS = compute_vectors(WORDS, CAPTIONS, 256)
PRINT = """
import hashlib, sys
sys.path[:0] = [".", "tests"]
from tests.text.test_subword import VECTORS, WORDS
from pipeline.text.embeddings import compute_unseen_vector
print(hashlib.sha256(VECTORS.tobytes() + compute_unseen_vector("mugs", WORDS, VECTORS).tobytes()).hexdigest())
"""


def of(word):
    return VECTORS[WORDS.index(word)] if word in WORDS else compute_unseen_vector(word, WORDS, VECTORS)


def cosine(one, other):
    one, other = of(one), of(other)
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def nearest(word):
    return max((other for other in WORDS if other != word), key=lambda other: cosine(word, other))


@pytest.mark.parametrize(
    ("unseen", "seen"), [("books", "book"), ("mugs", "mug"), ("notebook", "book"), ("bananna", "banana")]
)
def test_an_unseen_word_is_nearest_to_the_seen_one_that_it_is_spelled_like(unseen, seen):
    assert nearest(unseen) == seen
    assert cosine(unseen, seen) > 0.6


def test_words_in_the_same_company_are_near_and_still_apart():
    assert nearest("glass") in ("jar", "vase")
    assert cosine("glass", "jar") > cosine("glass", "book") + 0.2
    for one, other in (("book", "mug"), ("left", "right")):
        assert cosine(one, other) < 0.7


def test_the_spelling_half_estimates_the_cosine_of_shared_n_grams():
    """mug and mugs share 3 n-grams of 6 and 9; random signs keep that but for 1/sqrt(width)."""
    mug, mugs, box = embed_spelling(["mug", "mugs", "box"], 20_000)
    assert mug @ mugs == pytest.approx(3 / 54**0.5, abs=0.03)
    assert mug @ box == pytest.approx(0, abs=0.03)
    assert np.linalg.norm(mug) == pytest.approx(1)


def test_company_is_weighted_by_how_much_more_than_chance():
    """In `a b`, `a b`, `c d` each word has its partner alone: partners' partners agree wholly, others not at all."""
    a, b, c, _ = compute_vectors("abcd", [["a", "b"], ["a", "b"], ["c", "d"]], 4000)[:, :2000]
    x, y, *_ = compute_vectors("xyz", [["x", "z"], ["y", "z"]], 4000)[:, :2000]
    assert abs(float(a @ c)) < 0.1
    assert abs(float(a @ b)) < 0.1
    assert float(x @ y) == pytest.approx(1)


@pytest.mark.parametrize("word", ["日本語", "🙂", "a", "2.5"])
def test_any_word_has_a_finite_vector(word):
    vector = compute_unseen_vector(word, WORDS, VECTORS)
    assert np.isfinite(vector).all()
    assert vector.any()


def test_the_order_of_captions_does_not_matter():
    assert np.array_equal(compute_vectors(WORDS, CAPTIONS[::-1], 256), VECTORS)


def test_bytes_depend_neither_on_threads_nor_on_the_seed_of_hashing():
    printed = {
        subprocess.run(
            [sys.executable, "-c", PRINT],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": threads, "PATH": ""},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed, threads in (("1", "1"), ("2", "4"))
    }
    assert len(printed) == 1
