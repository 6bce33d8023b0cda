"""Files of published datasets whose cells hold other types than they should: rows or a UserError, no traceback."""

import json
from itertools import chain

import pytest
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.corpus.readers.known_sets import SETS
from pipeline.corpus.readers.table import list_fields
from pipeline.errors import UserError

ODD = [None, "", "x", -1, 2.5, True, [], [[]], [["a", ["b"]]], [[[1, 2]], [3]], {}, {"a": [1]}, [{"a": None}], [None]]
STRUCTURED = sorted(
    {(name, variant.kind) for name, variants in SETS.items() for variant in variants if variant.kind != "lists"}
)


def list_names(variant):
    """The columns of a variant, with those that paths are made of."""
    named = chain.from_iterable(list_fields(column) or [column] for column in variant.columns.values())
    return {str(name).partition(".")[0] for name in (*named, *variant.header, *variant.extra)}


@pytest.mark.parametrize(("name", "kind"), STRUCTURED)
def test_odd_cells_of_a_published_dataset_are_no_traceback(tmp_path, name, kind):
    read = 0
    for number, variant in enumerate(one for one in SETS[name] if one.kind == kind):
        path = tmp_path / str(number) / f"x.{'json' if kind == 'json' else 'jsonl'}"
        path.parent.mkdir()
        for pattern in variant.classes[:1]:
            text = '["x"]' if pattern.endswith(".json") else "x x\n"
            (path.parent / pattern.replace("*", "x")).write_text(text)
        for value in ODD:
            whole = dict.fromkeys(list_names(variant), value)
            least = dict.fromkeys(variant.header, value)
            rows = [whole, {**whole, **dict.fromkeys(variant.columns.values(), "x")}, least]
            for content in ([row] for row in rows):
                path.write_text(json.dumps(content if kind == "json" else content[0]))
                try:
                    read += len(read_rows(path.parent, reading(name, path.parent)))
                except UserError:
                    continue
    assert read  # not refused for another reason


@pytest.mark.parametrize("value", ODD)
def test_odd_ids_of_sentences_are_no_traceback(tmp_path, value):
    path = tmp_path / "x.json"
    content = {"videos": [{"video_id": value}], "sentences": [{"video_id": value, "caption": "A dog"}]}
    path.write_text(json.dumps(content))
    assert read_rows(path, reading("json", path, path="video_id"))[0].label == "A dog"
