"""Files with the names of numbered classes."""

import json

import pytest
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.corpus.readers.classes import find_name, read_classes
from pipeline.errors import UserError

CASES = {
    "classInd.txt": "1 Apply\r\n2 Archery\r\n",
    "hmdb.txt": "Apply 1\nArchery 2\n",
    "ava.txt": "1: Apply\n2: Archery\n",
    "ava.pbtxt": 'item {\n  name: "Apply"\n  id: 1\n}\nlabel {\n  name: "Archery"\n  label_id: 2\n  label_type: X\n}\n',
    "gym.txt": "Clabel:   1; set:  1; Glabel:   1; Apply\nClabel:   2; set:  1; Glabel:  19; Archery\n",
    "names.txt": '"none"\nApply\nArchery\n',
    "charades.txt": "c001 Apply\nc002 Archery\n",
    "code.json": {"a1": "Apply", "a2": "Archery"},
    "ssv2.json": {"Apply": "1", "Archery": "2"},
    "slowfast.json": {'"Apply"': 1, "Archery": 2},
    "numbers.json": {"1": "Apply", "2": "Archery"},
    "vocab.json": [["none"], ["Apply"], ["Archery"]],
}


@pytest.mark.parametrize("name", CASES)
def test_names_are_found_by_number_and_by_name(tmp_path, name):
    content = CASES[name]
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    classes = read_classes(tmp_path / name)
    assert [find_name(label, classes) for label in ("1", " 02", "Archery", "7")] == [
        "Apply",
        "Archery",
        "Archery",
        None,
    ]


def test_the_words_of_a_class_are_joined(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps([["Back", "15som", "05Twis"]]))
    assert read_classes(tmp_path / "vocab.json") == {"0": "Back 15som 05Twis"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "ANG anger\nHAP Happy/Joy\n"),
        ("a.csv", "code,emotion\nANG,anger\nHAP,Happy/Joy\n"),
        ("a.json", '{"ANG": "anger", "HAP": "Happy/Joy"}'),
    ],
)
def test_codes_may_be_letters_as_of_crema_d(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    classes = read_classes(tmp_path / name)
    assert [find_name(code, classes) for code in ("ANG", "HAP", "SAD")] == ["anger", "Happy/Joy", None]


@pytest.mark.parametrize("lines", [["TV on", "TV off"], ["BRUSH HAIR", "CLIMB STAIRS"], ["ApplyEyeMakeup", "UP x"]])
def test_names_that_begin_with_capitals_are_no_codes(tmp_path, lines):
    (tmp_path / "names.txt").write_text("\n".join(lines))
    assert read_classes(tmp_path / "names.txt") == {"0": lines[0], "1": lines[1]}


def test_tables_and_json_have_classes_too(tmp_path):
    (tmp_path / "classes.txt").write_text("0 ApplyEyeMakeup\n1 Archery\n")
    (tmp_path / "train.csv").write_text("path,caption\na.mp4,1\nb.mp4,0\nc.mp4,\n")
    dataset = reading("table", tmp_path).model_copy(update={"classes": "classes.txt"})
    assert [(row.label, row.template) for row in read_rows(tmp_path, dataset)] == [
        ("archery", "Archery"),
        ("apply eye makeup", "ApplyEyeMakeup"),
        ("", "all"),
    ]
    (tmp_path / "train.csv").unlink()
    (tmp_path / "train.json").write_text(json.dumps([{"path": "a.mp4", "caption": 1}]))
    dataset = dataset.model_copy(update={"format": "json"})
    assert [(row.label, row.template) for row in read_rows(tmp_path, dataset)] == [("archery", "Archery")]


def test_several_names_of_a_class_are_refused_unless_one_is_english(tmp_path, capsys):
    (tmp_path / "SignList.csv").write_text("ClassId,TR,DE\n0,abla,Schwester\n1,acele,Eile\n")
    with pytest.raises(UserError, match=r"several names for each class, TR, DE; keep one of these columns"):
        read_classes(tmp_path / "SignList.csv")
    (tmp_path / "SignList.csv").write_text("ClassId,TR,EN\n0,abla,sister\n1,acele,hurry\n")
    assert read_classes(tmp_path / "SignList.csv") == read_classes(tmp_path / "SignList.csv")
    assert read_classes(tmp_path / "SignList.csv") == {"0": "sister", "1": "hurry"}
    assert capsys.readouterr().out.count("of the names of classes, TR, EN, those of EN are used") == 1
    (tmp_path / "SignList.csv").write_text("code,name\n0,point, then wave\n1,sit, then eat\n")
    assert read_classes(tmp_path / "SignList.csv") == {"0": "point, then wave", "1": "sit, then eat"}


def test_bad_classes_are_told(tmp_path):
    (tmp_path / "a.json").write_text("[3]")
    with pytest.raises(UserError, match=r"a\.json: 3 is not a class name; see dataset\.classes"):
        read_classes(tmp_path / "a.json")
    (tmp_path / "a.txt").write_text("1 A\n1 B\n")
    with pytest.raises(UserError, match="names a class number twice"):
        read_classes(tmp_path / "a.txt")
    (tmp_path / "train.csv").write_text("path,caption\na.mp4,9\n")
    (tmp_path / "a.txt").write_text("1 A\n")
    dataset = reading("table", tmp_path).model_copy(update={"classes": "a.txt"})
    with pytest.raises(UserError, match=r"line 2 has the class '9', which dataset\.classes does not name"):
        read_rows(tmp_path, dataset)
    path = tmp_path / "train.csv"
    with pytest.raises(UserError, match=r"make dataset\.labels the folder that holds both"):
        read_rows(path, dataset)
