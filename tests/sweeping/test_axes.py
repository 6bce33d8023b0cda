"""A sweep's points are read, combined, drawn and checked before anything starts."""

import math

import pytest
import yaml

from pipeline.errors import UserError
from pipeline.sweeping.axes import check_axes, combine, draw_points, lay_out, read_axes, show_point


def complaint(tree, *arguments):
    """The message with which the axes are refused."""
    with pytest.raises(UserError) as caught:
        axes = read_axes(arguments)
        check_axes(axes, tree)
        combine(axes)
    return str(caught.value)


def test_axes_combine_to_every_pair_of_values():
    points = combine(read_axes(["train.penalties.r1=0.1,1", "train.mismatched=0,0.5"]))
    assert points == [{"train.penalties.r1": r1, "train.mismatched": weight} for r1 in (0.1, 1) for weight in (0, 0.5)]


def test_a_list_is_one_value():
    first, second = combine(read_axes(["filter.categories=[moving-something-up],[a, b]"]))
    assert first == {"filter.categories": ["moving-something-up"]}
    assert second == {"filter.categories": ["a", "b"]}


def test_a_misspelt_key_is_answered_with_the_nearest_one(tree):
    assert "train.penalty: no such key; did you mean penalties?" in complaint(tree, "train.penalty.r1=1")


def test_any_wrong_value_of_any_axis_is_refused_with_its_point(tree):
    text = complaint(tree, "train.penalties.r1=0.1,1", "transcode.shard_format=parquet,hdf5")
    assert "train.penalties.r1=0.1 transcode.shard_format=hdf5" in text


def test_the_end_of_a_range_that_no_param_may_have_is_refused(tree):
    assert "train.penalties.r1=-1.0" in complaint(tree, "train.penalties.r1=-1.0..1.0")


def test_a_number_that_yaml_reads_as_text_says_how_to_write_it(tree):
    assert "write 2.0e-4" in complaint(tree, "train.generator_lr=2e-4")
    assert "2.0e-4 for 2e-4" in complaint(tree, "train.generator_lr=2e-4..1.0")


def test_a_new_penalty_is_a_point_although_the_file_does_not_name_it(tree):
    axes = read_axes(["train.penalties.zero_gp=2"])
    check_axes(axes, tree)
    assert combine(axes) == [{"train.penalties.zero_gp": 2}]


def test_which_penalties_there_are_is_an_axis_as_well(tree):
    axes = read_axes(["train.penalties={r1: 1.0},{r1: 1.0, r2: 1.0},{}"])
    check_axes(axes, tree)
    assert [point["train.penalties"] for point in combine(axes)] == [{"r1": 1.0}, {"r1": 1.0, "r2": 1.0}, {}]


@pytest.mark.parametrize("axis", ["train.penalties.r1", "=1", "train..r1=1", "train.penalties.r1="])
def test_what_is_no_axis_is_answered_with_an_example(tree, axis):
    assert "write KEY=VALUE,VALUE" in complaint(tree, axis)


@pytest.mark.parametrize(
    ("axes", "answer"),
    [
        (["train.mismatched=0", "train.mismatched=1"], "given twice; write its values in one list"),
        (["train.mismatched=1,1.0"], "a value is given twice"),
        (["train.captions={width: 64}"], "train.captions.encoder: missing"),
        (["filter.categories=[Pushing [something] up]"], "put brackets in quotes"),
        (["seed.deeper=1"], "seed is a value, no section"),
        (["train.mismatched=1..0"], "write the smaller number first"),
        (["train.mismatched=0..1.0:log"], "0 has no logarithm"),
        (["train.mismatched=a..b"], "a is not a number"),
        (["train.mismatched=0..*"], "* is not a number"),
        (["train.mismatched=0.0..1.0"], "is a range; say how many points"),
    ],
)
def test_a_doubtful_axis_is_refused(tree, axes, answer):
    assert answer in complaint(tree, *axes)


def test_points_are_drawn_within_their_ranges_and_none_twice():
    axes = read_axes(["a.b=0.01..100.0:log", "a.c=1..3", "a.d=x,y"])
    points = draw_points(axes, 200, seed=1)
    assert points == draw_points(axes, 200, seed=1)
    assert points != draw_points(axes, 200, seed=2)
    assert len({tuple(point.values()) for point in points}) == 200
    assert {point["a.c"] for point in points} == {1, 2, 3}
    assert {point["a.d"] for point in points} == {"x", "y"}
    logarithms = [math.log10(point["a.b"]) for point in points]
    assert -2 <= min(logarithms) < -1.5 < 1.5 < max(logarithms) <= 2
    assert abs(sum(logarithms) / len(logarithms)) < 0.3  # even by the logarithm, whose middle is 0


def test_of_few_combinations_no_more_are_drawn_than_there_are():
    assert len(draw_points(read_axes(["a=1..2", "b=x,y"]), 50, seed=1)) == 4


def test_drawn_numbers_are_read_back_from_yaml_as_numbers():
    (point,) = draw_points(read_axes(["a=1.0e-6..2.0e-6"]), 1, seed=1)
    assert yaml.safe_load(show_point(point).removeprefix("a=")) == point["a"]


def lay_out_axes(*axes):
    """The points of the axes, laid out."""
    return lay_out(dict(enumerate(combine(read_axes(axes)), 1)))


def test_mappings_of_equal_weights_are_laid_out_by_their_names_and_weight():
    found = lay_out_axes("train.penalties={r1: 5.0},{},{r1: 1.0, r2: 1.0},{r1: 25.0, r2: 25.0},{r1: 1.0}")
    assert [(point, *values.values()) for point, values in found.items()] == [
        (5, "r1", 1.0),
        (1, "r1", 5.0),
        (2, "none"),
        (3, "r1+r2", 1.0),
        (4, "r1+r2", 25.0),
    ]
    assert list(found[1]) == ["train.penalties", "weight"]


def test_each_of_two_keys_with_mappings_has_a_weight_of_its_own():
    found = lay_out_axes("a={x: 2},{y: 1}", "b={z: 3},{}")
    assert found[2] == {"a": "x", "weight of a": 2, "b": "none"}
    assert found[1] == {"a": "x", "weight of a": 2, "b": "z", "weight of b": 3}


def test_mappings_of_unequal_weights_stay_as_they_are():
    found = lay_out_axes("train.penalties={r1: 5.0, r2: 1.0},{}")
    assert found == {1: {"train.penalties": {"r1": 5.0, "r2": 1.0}}, 2: {"train.penalties": {}}}


def test_points_are_laid_out_by_their_numbers_and_words_in_the_order_given():
    found = lay_out_axes("train.adversarial=hinge,classic", "train.penalties.r1=10,0.1")
    assert list(found) == [2, 1, 4, 3]
