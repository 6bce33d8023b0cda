"""Reading label files like Something-Something-V2's."""

import json

import pytest
from labels import read_something, row, rows, write_labels

from pipeline.corpus import LabelRow
from pipeline.errors import UserError


def test_one_file_gives_its_rows_as_they_stand(tmp_path):
    path = write_labels(tmp_path / "labels.json", [row("7", "Moving [something] up", "a red mug")])
    (read,) = read_something(path)
    assert read == LabelRow(
        id="7",
        label="moving a red mug up",
        template="Moving [something] up",
        placeholders=("a red mug",),
        objects=(),
        official_split="all",
        location=("labels.json", "entry 1"),
        video="",
    )


@pytest.mark.parametrize("prefix", ["", "something-something-v2-"])
def test_a_folder_gives_train_then_validation_under_short_and_official_names(tmp_path, prefix):
    write_labels(tmp_path / f"{prefix}train.json", [row("1"), row("2")])
    write_labels(tmp_path / f"{prefix}validation.json", [row("3")])
    assert [(r.id, r.official_split) for r in read_something(tmp_path)] == [
        ("1", "train"),
        ("2", "train"),
        ("3", "validation"),
    ]


def test_a_folder_without_validation_is_like_a_single_file(tmp_path):
    write_labels(tmp_path / "train.json", [row("1")])
    assert [r.official_split for r in read_something(tmp_path)] == ["all"]


def test_a_number_as_id_is_its_digits_and_a_byte_order_mark_does_not_matter(tmp_path):
    path = tmp_path / "train.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps([row(12)]).encode())
    assert read_something(path)[0].id == "12"


@pytest.mark.parametrize("value", [None, True, 1.5, ["1"], {}])
def test_what_is_not_text_is_read_as_empty(tmp_path, value):
    path = write_labels(
        tmp_path / "train.json", [{"id": value, "label": value, "template": value, "placeholders": value}]
    )
    read = read_something(path)[0]
    assert (read.id, read.label, read.template) == ("", "", "")


def test_rows_that_have_label_and_template_the_other_way_round_are_turned(tmp_path):
    right = row("1", "Moving [something] up", "a mug")
    turned = {**right, "label": right["template"], "template": right["label"]}
    read = read_something(write_labels(tmp_path / "train.json", [right, {**turned, "id": "2"}]))
    assert [(r.label, r.template) for r in read] == [("moving a mug up", "Moving [something] up")] * 2


@pytest.mark.parametrize("placeholders", [None, "a mug", {}, 5])
def test_rows_without_a_list_of_placeholders_have_none(tmp_path, placeholders):
    lacking = {key: value for key, value in row("1").items() if key != "placeholders"}
    path = write_labels(tmp_path / "train.json", [lacking, {**lacking, "id": "2", "placeholders": placeholders}])
    assert [r.placeholders for r in read_something(path)] == [(), ()]


@pytest.mark.parametrize("field", ["id", "label", "template"])
def test_a_row_that_lacks_a_field_is_named_with_the_field(tmp_path, field):
    lacking = {key: value for key, value in row("2").items() if key != field}
    path = write_labels(tmp_path / "train.json", [row("1"), lacking])
    with pytest.raises(UserError, match=rf"train\.json: entry 2 lacks '{field}'"):
        read_something(path)


@pytest.mark.parametrize("content", [b"", b"[{", b"\xff\xfe\x00", b"id,label\n1,x\n", b"[" * 100_000], ids=str)
def test_a_file_that_is_not_json_is_named(tmp_path, content):
    path = tmp_path / "train.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"train\.json: not JSON"):
        read_something(path)


@pytest.mark.parametrize("content", [{"Pushing something": "93"}, "text", 5, None])
def test_json_that_is_not_a_list_is_refused(tmp_path, content):
    with pytest.raises(UserError, match="holds no list of rows"):
        read_something(write_labels(tmp_path / "labels.json", content))


@pytest.mark.parametrize("item", ["1", None, ["1", "pushing"]])
def test_a_row_that_is_not_an_object_is_refused(tmp_path, item):
    with pytest.raises(UserError, match="entry 1 is not an object"):
        read_something(write_labels(tmp_path / "train.json", [item]))


def test_missing_labels_are_named_with_the_way_out(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such labels; set dataset\.labels"):
        read_something(tmp_path / "nowhere")
    with pytest.raises(UserError, match="make demo"):
        read_something(tmp_path / "data" / "demo" / "labels")


def test_a_folder_without_train_json_and_one_with_two_are_refused(tmp_path):
    write_labels(tmp_path / "validation.json", rows(2))
    with pytest.raises(UserError, match=r"neither train\.json"):
        read_something(tmp_path)
    write_labels(tmp_path / "train.json", rows(2))
    write_labels(tmp_path / "something-something-v2-train.json", rows(2))
    with pytest.raises(UserError, match="holds both"):
        read_something(tmp_path)
