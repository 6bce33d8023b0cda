"""A sweep's points are read, combined and checked before anything starts."""

import json

import pytest

from pipeline.cli.sweep import Point, read_points
from pipeline.errors import UserError


def complaint(tree, *axes):
    """The message with which the axes are refused."""
    with pytest.raises(UserError) as caught:
        read_points(axes, tree)
    return str(caught.value)


def test_axes_combine_to_every_pair_of_values(tree):
    points = read_points(["train.penalties.r1=0.1,1", "train.mismatched=0,0.5"], tree)
    assert [dict(point.values) for point in points] == [
        {"train.penalties.r1": r1, "train.mismatched": weight} for r1 in (0.1, 1) for weight in (0, 0.5)
    ]


def test_a_list_is_one_value(tree):
    (first, second) = read_points(["filter.categories=[moving-something-up],[a, b]"], tree)
    assert first.values == (("filter.categories", ["moving-something-up"]),)
    assert second.values == (("filter.categories", ["a", "b"]),)


def test_overrides_are_what_the_grammar_of_dvc_reads_back():
    """Checked against the parser that `dvc exp run -S` itself uses."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    values = [0.1, 1, True, None, "a b", "Pushing [something], 'so'", 'with "quotes"', ["x", "y, z"], 1e-05]
    for value in values:
        flag, setting = Point((("train.key", value),)).overrides()
        override = OverridesParser.create().parse_override(setting)
        read = override.value()
        if isinstance(read, list):
            read = [getattr(item, "text", item) for item in read]
        assert flag == "-S"
        assert (override.key_or_group, getattr(read, "text", read)) == ("train.key", value), json.dumps(value)


def test_a_misspelt_key_is_answered_with_the_nearest_one(tree):
    assert "train.penalty: no such key; did you mean penalties?" in complaint(tree, "train.penalty.r1=1")


def test_any_wrong_value_of_any_axis_is_refused_with_its_point(tree):
    text = complaint(tree, "train.penalties.r1=0.1,1", "transcode.shard_format=parquet,hdf5")
    assert "train.penalties.r1=0.1 transcode.shard_format=hdf5" in text


def test_a_number_that_yaml_reads_as_text_says_how_to_write_it(tree):
    assert "write 2.0e-4" in complaint(tree, "train.generator_lr=2e-4")


def test_a_new_penalty_is_a_point_although_the_file_does_not_name_it(tree):
    (point,) = read_points(["train.penalties.zero_gp=2"], tree)
    assert point.overrides() == ["-S", "++train.penalties.zero_gp=2"]


@pytest.mark.parametrize("axis", ["train.penalties.r1", "=1", "train..r1=1", "train.penalties.r1="])
def test_what_is_no_axis_is_answered_with_an_example(tree, axis):
    assert "write KEY=VALUE,VALUE" in complaint(tree, axis)


@pytest.mark.parametrize(
    ("axes", "answer"),
    [
        (["train.mismatched=0", "train.mismatched=1"], "given twice; write its values in one list"),
        (["train.mismatched=1,1.0"], "a value is given twice"),
        (["train.penalties={r1: 1}"], "name the key within"),
        (["filter.categories=[Pushing [something] up]"], "put brackets in quotes"),
        (["seed.deeper=1"], "seed is a value, no section"),
    ],
)
def test_a_doubtful_axis_is_refused(tree, axes, answer):
    assert answer in complaint(tree, *axes)
