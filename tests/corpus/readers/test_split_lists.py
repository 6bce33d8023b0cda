"""The official split lists of UCF-101 and HMDB-51 -> rows."""

import pytest
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError


@pytest.fixture
def ucf(tmp_path):
    """Two classes with the official files' line ends and their misspelt class."""
    lists = {"classInd": "1 ApplyEyeMakeup\r\n2 HandstandPushups\r\n"}
    for number in (1, 2, 3):
        lists[f"trainlist0{number}"] = (
            f"ApplyEyeMakeup/v_ApplyEyeMakeup_g0{number}_c01.avi 1\r\n"
            f"HandstandPushups/v_HandStandPushups_g0{number}_c01.avi 2\r\n"
        )
        lists[f"testlist0{number}"] = f"ApplyEyeMakeup/v_ApplyEyeMakeup_g1{number}_c01.avi\r\n"
    for name, text in lists.items():
        (tmp_path / f"{name}.txt").write_bytes(text.encode())
    return tmp_path


@pytest.fixture
def hmdb(tmp_path):
    """Two classes; every line ends with a blank."""
    lists = {
        "brush_hair_test_split1": "#1_brush!_(x)_np10.avi 1 \nb.avi 2 \nc.avi 0 \n",
        "brush_hair_test_split2": "b.avi 1 \n",
        "wave_test_split1": "d e.avi 2 \r\n\r\n",
    }
    for name, text in lists.items():
        (tmp_path / f"{name}.txt").write_bytes(text.encode())
    return tmp_path


def seen(kind, labels, number=1):
    dataset = reading(kind, labels).model_copy(update={"official_list": number})
    return [(row.video, row.label, row.template, row.official_split) for row in read_rows(labels, dataset)]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_ucf101(ucf, number):
    makeup = ("apply eye makeup", "ApplyEyeMakeup")
    assert seen("ucf101", ucf, number) == [
        (f"ApplyEyeMakeup/v_ApplyEyeMakeup_g0{number}_c01.avi", *makeup, "train"),
        (
            f"HandstandPushups/v_HandStandPushups_g0{number}_c01.avi",
            "handstand pushups",
            "HandstandPushups",
            "train",
        ),
        (f"ApplyEyeMakeup/v_ApplyEyeMakeup_g1{number}_c01.avi", *makeup, "test"),
    ]


def test_hmdb51_tells_of_clips_in_neither_part(hmdb, capsys):
    assert seen("hmdb51", hmdb) == [
        ("brush_hair/#1_brush!_(x)_np10.avi", "brush hair", "brush_hair", "train"),
        ("brush_hair/b.avi", "brush hair", "brush_hair", "test"),
        ("wave/d e.avi", "wave", "wave", "test"),
    ]
    assert "1 of 4 clips are neither in the train nor in the test part of split 1" in capsys.readouterr().err
    assert seen("hmdb51", hmdb, 2) == [("brush_hair/b.avi", "brush hair", "brush_hair", "train")]


def test_bad_input_is_named(ucf, tmp_path):
    (ucf / "trainlist01.txt").write_text("HandstandPushups/a.avi 1\n")
    with pytest.raises(UserError, match=r"trainlist01\.txt: line 1, .* has the number of ApplyEyeMakeup"):
        seen("ucf101", ucf)
    (ucf / "trainlist01.txt").write_text("Yoga/a.avi 1\n")
    with pytest.raises(UserError, match="is in no folder of a class"):
        seen("ucf101", ucf)
    (ucf / "testlist02.txt").unlink()
    with pytest.raises(UserError, match=r"holds no testlist02\.txt; see dataset\.labels and dataset\.official_list"):
        seen("ucf101", ucf, 2)
    with pytest.raises(UserError, match=r"holds no list <class>_test_split3\.txt"):
        seen("hmdb51", tmp_path, 3)
    (tmp_path / "wave_test_split3.txt").write_text("a.avi 7\n")
    with pytest.raises(UserError, match=r"wave_test_split3\.txt: line 1 is 'a\.avi 7', not a name and 0, 1 or 2"):
        seen("hmdb51", tmp_path, 3)
