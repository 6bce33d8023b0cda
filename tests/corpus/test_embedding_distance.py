"""Held-out words by their distance from the others."""

import numpy as np
import pytest
from settings import filtering

from pipeline.corpus.split import find_nearest_objects, rank_by_distance, split_clips
from pipeline.errors import UserError
from tests.corpus.test_split import clip

PLACES = {"mug": 0, "cup": 10, "glass": 24, "book": 100, "album": 130, "red": 45, "duck": 180}  # degrees
VECTORS = {
    word: np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))], np.float32) * (1 + angle)
    for word, angle in PLACES.items()
}
OBJECTS = ["mug", "cup", "glass", "book", "album", "duck"]


def held(by, share, objects=OBJECTS, vectors=VECTORS):
    """The held-out words among one hundred clips that show the objects in turn."""
    clips = [clip(number, "right", objects[number % len(objects)]) for number in range(100)]
    options = filtering(categories=["*"], test_words=share, test_words_by=by)
    return split_clips(clips, options, vectors)[1].words


def test_the_nearest_other_object_has_the_smallest_angle_whatever_the_lengths():
    near = find_nearest_objects(OBJECTS, set(OBJECTS), VECTORS)
    assert {name: other.name for name, other in near.items()} == {
        "mug": "cup",
        "cup": "mug",
        "glass": "cup",
        "book": "album",
        "album": "book",
        "duck": "album",
    }
    assert near["duck"].cosine == pytest.approx(np.cos(np.radians(50)), abs=1e-6)


def test_every_block_of_objects_is_compared_with_all_others():
    draw = np.random.default_rng(1)
    vectors = {f"w{number}": vector for number, vector in enumerate(draw.normal(size=(600, 8)).astype(np.float32))}
    near = find_nearest_objects(list(vectors), set(vectors), vectors)
    rows = np.array([vector / np.linalg.norm(vector) for vector in vectors.values()], np.float64)
    cosines = rows @ rows.T - 3 * np.eye(600)
    assert [near[f"w{number}"].name for number in range(600)] == [f"w{best}" for best in cosines.argmax(axis=1)]


def test_of_two_that_are_near_to_each_other_one_stays_in_training():
    assert rank_by_distance(OBJECTS, OBJECTS, VECTORS, far=False) == ["cup", "album"]
    assert held("near", 0.2) == ["cup"]
    assert held("near", 0.9) == ["album", "cup"]


def test_the_most_distant_are_held_out_first():
    assert rank_by_distance(OBJECTS, OBJECTS, VECTORS, far=True) == ["duck", "album", "book", "glass", "cup", "mug"]
    assert held("far", 0.34) == ["album", "duck"]


def test_a_longer_name_goes_with_the_word_that_it_says_and_is_no_neighbour_of_it():
    objects = ["mug", "red mug", "cup"]
    near = find_nearest_objects(objects, set(objects), VECTORS)
    assert (near["mug"].name, near["red mug"].name) == ("cup", "cup")
    assert rank_by_distance(objects, objects, VECTORS, far=False) == ["cup"]  # then all mugs have to stay
    assert rank_by_distance(["mug", "red mug", "pen"], ["mug"], VECTORS, far=False) == ["red mug"]


def test_only_trained_objects_count_as_neighbours():
    assert find_nearest_objects(OBJECTS, {"duck"}, VECTORS)["mug"].name == "duck"
    assert "duck" not in find_nearest_objects(OBJECTS, {"duck"}, VECTORS)


def test_an_object_without_a_vector_is_neither_held_out_nor_a_neighbour():
    objects = ["mug", "cup", "wug", "?"]
    assert find_nearest_objects(objects, set(objects), VECTORS).keys() == {"mug", "cup"}
    assert held("far", 0.9, objects) == ["cup", "mug"]
    with pytest.raises(UserError, match=r"filter\.word_vectors .*has no vectors for two of the 2 objects"):
        held("near", 0.5, ["mug", "wug"])


def test_a_list_of_words_needs_no_distances():
    with pytest.raises(UserError, match="test_words_by near chooses a share of the objects, but test_words is a list"):
        filtering(test_words=["mug"], test_words_by="near")
