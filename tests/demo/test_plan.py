"""Plans: the schedule of categories, objects, wordings and validation clips."""

from collections import Counter
from itertools import pairwise

import pytest
from locations import SHARED

from pipeline.demo.objects import OBJECTS
from pipeline.demo.plan import CATEGORIES, plan_clips

PLANS = list(plan_clips(17, 2000, 0.12))
REAL_TEMPLATES = SHARED / "labels" / "something-v2-templates.txt"


def test_placeholders_put_into_the_template_give_the_label():
    for plan in PLANS:
        row = plan.row()
        parts = row["template"].split("[something]")
        assert len(parts) == len(row["placeholders"]) + 1
        filled = parts[0] + "".join(a + b for a, b in zip(row["placeholders"], parts[1:], strict=True))
        assert row["label"] == filled.lower()


def test_pushing_left_and_right_get_thirty_percent_each_and_the_others_five():
    counts = Counter(plan.category.template for plan in PLANS)
    assert [counts[category.template] for category in CATEGORIES] == [600, 600] + [100] * 8


def test_every_object_comes_equally_often_in_every_category():
    cells = Counter((plan.category.template, plan.objects[0]) for plan in PLANS)
    assert len(cells) == len(CATEGORIES) * len(OBJECTS)
    for category in CATEGORIES:
        counts = [cells[category.template, name] for name in OBJECTS]
        assert max(counts) - min(counts) <= 1


def test_validation_is_its_share_of_every_cell_to_within_one_clip():
    cells = Counter((plan.category.template, plan.objects[0]) for plan in PLANS)
    held_out = Counter((plan.category.template, plan.objects[0]) for plan in PLANS if plan.validation)
    assert all(abs(held_out[cell] - 0.12 * count) < 1.2 for cell, count in cells.items())
    assert not any(plan.validation for plan in plan_clips(17, 60, 0.0))
    assert all(plan.validation for plan in plan_clips(17, 60, 1.0))


def test_a_plan_does_not_depend_on_how_many_clips_are_drawn():
    assert list(plan_clips(17, 45, 0.12)) == PLANS[:45]


def test_another_seed_gives_other_ids_and_objects():
    other = list(plan_clips(18, 45, 0.12))
    assert not {plan.id for plan in other} & {plan.id for plan in PLANS[:45]}
    assert [plan.objects for plan in other] != [plan.objects for plan in PLANS[:45]]


def test_ids_are_distinct_numbers_in_no_order():
    ids = [int(plan.id) for plan in PLANS]
    assert len(set(ids)) == 2000
    assert 900 < sum(a < b for a, b in pairwise(ids)) < 1100
    order = sorted(PLANS, key=lambda plan: int(plan.id))
    same = sum(a.category == b.category for a, b in pairwise(order))
    assert 320 < same < 480  # two independent clips agree with probability 2 * 0.3^2 + 8 * 0.05^2 = 0.2


def test_objects_are_worded_with_either_article_or_none():
    wordings = {plan.placeholders[0] for plan in PLANS}
    assert {"book", "a book", "the book", "an apple", "an alarm clock", "the rubber duck"} <= wordings
    assert len(wordings) == 3 * len(OBJECTS)


def test_two_slots_never_hold_the_same_object():
    pairs = [plan.objects for plan in PLANS if plan.category.slots == 2]
    assert len(pairs) == 200
    assert all(first != second for first, second in pairs)


@pytest.mark.skipif(not REAL_TEMPLATES.exists(), reason="shared/data is not here")
def test_templates_have_their_real_number():
    real = REAL_TEMPLATES.read_text(encoding="utf-8").splitlines()
    for category in CATEGORIES:
        assert real[int(category.number)] == category.template.replace("[", "").replace("]", "")
