"""What YAML makes of params.yaml: files that are none, and values that it reads as another type than was meant."""

from pathlib import Path

import pytest
import yaml
from settings import complaint

from pipeline.errors import UserError
from pipeline.params import load_params


def test_a_number_that_yaml_reads_as_text_says_how_to_write_it(tree):
    tree["train"]["generator_lr"] = yaml.safe_load("2e-4")
    assert "train.generator_lr" in complaint(tree)
    assert "YAML reads 2e-4 and 1.0e6 as text: write 2.0e-4 and 1.0e+6" in complaint(tree)
    tree["train"]["generator_lr"] = yaml.safe_load("1.0e6")
    assert "write 2.0e-4 and 1.0e+6" in complaint(tree)
    tree["train"]["generator_lr"] = "small"
    assert complaint(tree).endswith("got 'small'")


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes("seed: 17 # größer".encode("latin-1"))
    with pytest.raises(UserError, match=r"params\.yaml: not UTF-8 \(.* at byte 13\); save it as UTF-8"):
        load_params(path)


def test_a_file_that_is_not_yaml_says_where_it_stops_being_so(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("seed: [1\ndevices: auto\n")
    with pytest.raises(UserError, match=r"not YAML(?s:.*)line 2"):
        load_params(path)


def test_a_star_without_quotes_is_answered_with_quotes(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("filter:\n  categories: [*]\n")
    with pytest.raises(
        UserError, match=r"not YAML(?s:.*)start with \*, \[ or \{ or contain ': ' are written in quotes"
    ):
        load_params(path)


@pytest.mark.parametrize(
    ("categories", "told"),
    [
        ("*", "filter.categories: Input should be a valid list, got '*' (write a list of one value as ['*'])"),
        ([7], "filter.categories.0: Input should be a valid string, got 7 (YAML reads 7, no and 2026-01-31 as"),
        ([False], "filter.categories.0: Input should be a valid string, got False (YAML reads 7, no and 2026-01-31 as"),
    ],
)
def test_a_category_that_yaml_reads_as_something_else_is_answered_with_how_to_write_it(tree, categories, told):
    tree["filter"]["categories"] = categories
    assert told in complaint(tree)


@pytest.mark.parametrize("text", ["", "- a list\n", "just words\n"])
def test_a_file_that_holds_no_sections_is_refused(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"params\.yaml: has no keys with values; "):
        load_params(path)


def test_an_absent_file_says_where_to_stand():
    with pytest.raises(UserError, match="run from the project's folder"):
        load_params(Path("no-such-folder/params.yaml"))


def test_a_folder_in_place_of_the_file_is_told_so(tmp_path):
    with pytest.raises(UserError, match="a folder; params are read from a YAML file"):
        load_params(tmp_path)
