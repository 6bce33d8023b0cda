"""Which captions and clips an evaluation with fewer samples than clips uses."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from evaluation_sets import evaluating
from made import make_caption, make_clip
from measured_clips import prompt

from pipeline.data.dataset import select_evenly
from pipeline.evaluation.clip_sets import generate_clips, interleave_words, order_evenly, read_real_clips
from pipeline.judges import Classes, NewWord

CATEGORIES = 100


class SortedSet:
    """500 clips in each split, five of each category, sorted by category: a folder of videos for each class."""

    def __init__(self):
        names = [f"{category:03d}/{row}" for category in range(CATEGORIES) for row in range(5)]
        self._clips = [make_clip(name, name[:3], objects=(), category=name[:3]) for name in names]
        self.captions = {clip.id: make_caption(clip.caption, (2,)) for clip in self._clips}

    def rows(self, _, most):
        return select_evenly(range(len(self._clips)), most)

    def clips(self, rows):
        return [self._clips[row] for row in rows]

    def frames(self, rows):
        return np.zeros((len(rows), 1, 1, 1, 3), np.uint8)


def draw(prompts, _):
    return np.zeros((len(prompts), 1, 1, 1, 3), np.uint8)


def generate(new=(), **options):
    params = evaluating().model_copy(update=options)
    classes = Classes((), tuple(f"{number:03d}" for number in range(CATEGORIES)))
    return generate_clips(draw, read_real_clips(SortedSet(), classes, params), new, {}, params)


def test_fewer_samples_than_clips_cover_the_categories_evenly():
    made = generate(samples=240)
    for name in ("model", "model, pairs"):
        counts = Counter(one.category for one in made[name].prompts)
        assert len(counts) == CATEGORIES and set(counts.values()) <= {1, 2, 3, 4}, name


@pytest.mark.parametrize("count", [20, 60, 150])
def test_the_first_clips_of_a_set_which_distances_compare_are_spread_over_all_names(count):
    first = [one.category for one in generate(samples=240)["model"].prompts[:count]]
    assert np.diff([-1, *sorted(first), CATEGORIES]).max() <= 2.5 * CATEGORIES / count + 1


def test_captions_with_many_samples_are_spread_over_the_meanings():
    categories = {one.category for one in generate(varied_captions=12)["model, varied"].prompts}
    assert len(categories) == 12
    assert np.diff([-1, *sorted(categories), CATEGORIES]).max() <= 20


def test_any_first_few_of_the_even_order_are_spread_and_none_is_left_out():
    for count in (1, 2, 7, 54, 500):
        order = order_evenly(count)
        assert sorted(order) == list(range(count))
        for first in range(1, count + 1):
            assert np.diff([-1, *sorted(order[:first]), count]).max() <= 2.7 * count / first + 1
    assert order_evenly(0) == []


def tell(name, number):
    return replace(prompt(number), new=NewWord(name, "mug", 0.5))


def test_words_take_turns():
    asked = interleave_words([tell("cup", 0), tell("cup", 1), tell("cup", 2), tell("jar", 0), tell("jar", 1)])
    assert [(one.new.name, one.object) for one in asked] == [
        ("cup", 0),
        ("jar", 0),
        ("cup", 1),
        ("jar", 1),
        ("cup", 2),
    ]


def test_each_word_that_is_asked_for_has_a_sample_however_many_others_are_held_out():
    words = [f"word {number}" for number in range(30)]
    held_out = [tell(f"held out {row}", row) for row in range(40)]
    new = interleave_words([*(tell(word, row) for word in words for row in range(5)), *held_out])
    made = generate(new, samples=24, new_words=words)["model, words"]
    assert {one.new.name for one in made.prompts} == set(words)
