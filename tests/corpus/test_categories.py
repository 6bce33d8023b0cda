"""Slugs, and names in params -> slugs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from locations import SHARED

from pipeline.corpus.captions import match_categories
from pipeline.errors import UserError
from pipeline.records import slugify

TEMPLATES = SHARED / "labels" / "something-v2-templates.txt"
RIGHT, LEFT = "pushing-something-from-left-to-right", "pushing-something-from-right-to-left"
CLIPS = {RIGHT: 3199, LEFT: 2960, "moving-something-up": 3750, "moving-something-down": 3242, "folding-something": 1787}


@pytest.fixture
def official_templates():
    if not TEMPLATES.exists():
        pytest.skip("shared/data, the real category names, is not here")
    return TEMPLATES.read_text(encoding="utf-8").splitlines()


def test_the_174_official_templates_have_174_slugs_whether_in_brackets_or_not(official_templates):
    slugs = [slugify(template) for template in official_templates]
    bracketed = [re.sub("(?i)something", "[something]", template) for template in official_templates]
    assert len(slugs) == len(set(slugs)) == 174
    assert [slugify(template) for template in bracketed] == slugs
    assert [slugify(slug) for slug in slugs] == slugs
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", slug) for slug in slugs)  # safe in `dvc exp run -S`


def test_each_official_template_is_found_by_slug_by_name_and_by_a_glob_of_itself(official_templates):
    clips = dict.fromkeys(map(slugify, official_templates), 1)
    for template in official_templates:
        wanted = frozenset([slugify(template)])
        assert match_categories([slugify(template)], clips) == wanted
        assert match_categories([template.upper()], clips) == wanted
        assert wanted <= match_categories([f"{template[:20]}*"], clips)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (RIGHT, {RIGHT}),
        ("Pushing [something] from left to right", {RIGHT}),
        ("pushing something from LEFT to right", {RIGHT}),
        ("pushing-*", {RIGHT, LEFT}),
        ("Pushing [something] *", {RIGHT, LEFT}),
        ("* something up", {"moving-something-up"}),
        ("moving [something] ?p", {"moving-something-up"}),
        ("*", set(CLIPS)),
    ],
)
def test_a_name_stands_for_these_categories(name, found):
    assert match_categories([name], CLIPS) == found


def test_several_names_are_joined():
    assert match_categories([RIGHT, "moving-*"], CLIPS) == {RIGHT, "moving-something-up", "moving-something-down"}


@pytest.mark.parametrize("name", ["pushing-somthing-from-left-to-rihgt", "Pushing [something] from left to write"])
def test_an_unknown_category_raises_with_the_nearest_names_and_their_clips(name):
    with pytest.raises(UserError) as raised:
        match_categories([name], CLIPS)
    assert name in str(raised.value)
    assert f"nearest are: {RIGHT} (3199 clips)" in str(raised.value)


@pytest.mark.parametrize("name", ["zzz", "zzz*", "[]", ""])
def test_a_name_near_nothing_raises_with_the_commonest(name):
    with pytest.raises(UserError, match=r"most frequent are: moving-something-up \(3750 clips\)"):
        match_categories([name], CLIPS)


def test_a_category_of_a_table_without_their_column_points_to_its_key():
    with pytest.raises(
        UserError, match=r"all \(60 clips\); no other is known while dataset\.columns\.category is null"
    ):
        match_categories(["jumping"], {"all": 60})


@given(st.text(max_size=40))
def test_a_slugs_slug_is_itself(text):
    assert slugify(slugify(text)) == slugify(text)


@pytest.mark.parametrize(
    ("template", "slug"),
    [
        ("C", "c"),
        ("C++", "c-plus-plus"),
        ("C#", "c-sharp"),
        ("+1", "plus-1"),
        ("-1", "minus-1"),
        ("1", "1"),
        ("turning by -.5", "turning-by-minus-5"),
        ("1-2", "1-2"),
        ("R&B", "r-and-b"),
        ("\U0001f44d", "thumbs-up-sign"),
        ("left \u2192 right", "left-rightwards-arrow-right"),
        ("left \u2190 right", "left-leftwards-arrow-right"),
        ("?!", ""),
        ("a - b", "a-b"),
        ("\u0915\u093f\u0924\u093e\u092c", "\u0915\u093f\u0924\u093e\u092c"),
    ],
)
def test_symbols_and_marks_count_in_a_slug(template, slug):
    assert slugify(template) == slug == slugify(slug)


def test_categories_that_differ_in_symbols_or_marks_are_found_each_by_its_name():
    names = ["C", "C++", "C#", "+1", "-1", "\u0e1c\u0e49\u0e32", "\u0e1c\u0e32", "\u0915\u093f", "\u0915\u0940"]
    clips = {slugify(name): 1 for name in names}
    assert len(clips) == len(names)
    for name in names:
        assert match_categories([name], clips) == {slugify(name)}
    assert match_categories(["C+*"], clips) == {"c-plus-plus"}
    assert match_categories(["\u0e1c\u0e49*"], clips) == {slugify("\u0e1c\u0e49\u0e32")}
