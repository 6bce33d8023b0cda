"""Which reader `dataset.format` names: a built-in one or a user's own."""

import pytest
from settings import reading

from pipeline.corpus.readers import READERS, read_rows
from pipeline.errors import UserError
from pipeline.params.data import FORMAT_NAMES

READER = """
from pipeline.corpus import LabelRow

def read_rows(labels, dataset):
    for number, line in enumerate(labels.read_text().splitlines()):
        name, caption = line.split(": ")
        yield LabelRow(name, caption, "all", (), (), "all", (labels.name, f"line {number}"), f"{name}.mp4")

def read_nothing(labels):
    return []
"""


@pytest.fixture
def labels(tmp_path, monkeypatch):
    """Labels of a format of their own, in a project with a reader for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines_reader.py").write_text(READER)
    (tmp_path / "labels.txt").write_text("a: a dog runs\nb: a cat sleeps\n")
    return tmp_path / "labels.txt"


def test_every_format_in_params_has_a_reader():
    assert {*READERS, "auto"} == set(FORMAT_NAMES)


def test_a_reader_of_the_users_own_is_called_with_the_labels_and_the_section(labels):
    rows = read_rows(labels, reading("lines_reader:read_rows", labels))
    assert [(row.id, row.label, row.video) for row in rows] == [
        ("a", "a dog runs", "a.mp4"),
        ("b", "a cat sleeps", "b.mp4"),
    ]


def test_a_reader_that_takes_other_arguments_is_refused_by_name(labels):
    with pytest.raises(UserError, match=r"dataset\.format: 'lines_reader:read_nothing' cannot be called with"):
        read_rows(labels, reading("lines_reader:read_nothing", labels))
