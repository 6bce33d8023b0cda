"""Labels in the names of files."""

import pytest
from settings import changed, reading

from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError

NTU = [f"S001C00{camera}P{said}_rgb.avi" for camera in (1, 2) for said in ("001R001A001", "002R001A060")]
KTH = [f"person{person:02}_{action}_d1_uncomp.avi" for person in (1, 25) for action in ("boxing", "handwaving")]
UCF = ["v_ApplyEyeMakeup_g01_c01.avi", "v_ApplyEyeMakeup_g02_c01.avi", "v_YoYo_g01_c02.avi"]
HMDB = ["April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "#20_(2)_sword_exercise_f_cm_np10_fr_med_12.avi"]
HMDB += ["X_sword_u_nm_np2_le_bad_1.avi"]


def read(folder, files, kind="folders", **more):
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name] if isinstance(files, dict) else "v")
    return read_rows(folder, reading(kind, folder).model_copy(update={"videos": str(folder), **more}))


def seen(rows):
    return [(row.template, row.label, row.group) for row in rows]


@pytest.mark.parametrize("kind", ["folders", "auto"])
@pytest.mark.parametrize("above", ["", "avi/"])
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (KTH, [("boxing", "boxing", "person01"), ("handwaving", "handwaving", "person01")]),
        (UCF, [("ApplyEyeMakeup", "apply eye makeup", f"v_ApplyEyeMakeup_g0{number}") for number in (1, 2)]),
        (HMDB, [("sword_exercise", "sword exercise", "#20_(2)"), ("brush_hair", "brush hair", "April_09")]),
    ],
)
def test_names_of_published_sets_tell_category_and_group(tmp_path, kind, above, names, expected):
    assert seen(read(tmp_path, [above + name for name in names], kind))[:2] == expected


def test_a_film_may_be_called_as_a_class_and_a_class_may_begin_as_another(tmp_path):
    assert seen(read(tmp_path, HMDB))[2] == ("sword", "sword", "X")


@pytest.mark.parametrize(
    "classes",
    [
        *("A001 drink water\nA060 point, then wave\n", "A1. drink water.\nA60. point, then wave.\n"),
        *("code,name\nA001,drink water\nA060,point, then wave\n", "1 drink water\n60 point, then wave\n"),
    ],
)
def test_codes_have_names_in_a_small_table(tmp_path, classes):
    files = {**dict.fromkeys(NTU, "v"), "classes.txt": classes}
    expected = [("drink water", "drink water", "P001"), ("point, then wave", "point, then wave", "P002")] * 2
    assert seen(read(tmp_path, files, classes="classes.txt")) == expected
    assert seen(read(tmp_path, files, "auto")) == expected


def test_codes_without_names_are_refused_with_the_way_out(tmp_path):
    told = r"the pattern of NTU RGB\+D finds classes by their codes, such as 'A001'; put their names into a file .* "
    with pytest.raises(UserError, match=told + "in dataset.classes: A001 drink water"):
        read(tmp_path, NTU, "auto")
    (tmp_path / "names.txt").write_text("A001 drink water\nA002 eat\nA003 sit\n")
    with pytest.raises(
        UserError, match=r"R001A060_rgb\.avi: .* finds the class 'A060', which dataset\.classes does not"
    ):
        read(tmp_path, NTU, classes="names.txt")


def test_classes_told_by_folders_stay_and_other_names_are_no_kind(tmp_path):
    rows = read(tmp_path / "one", ["box/person01_boxing_d1_uncomp.avi", "wave/person01_handwaving_d1_uncomp.avi"])
    assert [row.template for row in rows] == ["box", "wave"]
    with pytest.raises(UserError, match=r"two: \S+\.avi and all other videos lie in no sub-folder"):
        read(tmp_path / "two", [*UCF, "mine.avi"])


@pytest.mark.parametrize("kind", ["folders", "auto"])
def test_a_pattern_finds_all_that_a_path_says(tmp_path, capsys, kind):
    names = ["val/ann-pushA_red_mug-01.mp4", "train/bob-pushA_book-02.mp4", "train/notes.mp4"]
    pattern = r"(?P<split>\w+)/(?P<group>[a-z]+)-(?P<category>push[A-Z])_(?P<caption>\w+)-\d+"
    rows = {row.video: row for row in read(tmp_path, names, kind, path_pattern=pattern)}
    first = rows["val/ann-pushA_red_mug-01.mp4"]
    assert (first.template, first.label, first.official_split) == ("pushA", "red mug", "validation")
    assert rows[names[1]].official_split == "train"
    assert (rows[names[2]].template, rows[names[2]].label) == ("", "")
    assert "1 of 3 paths do not fit dataset.path_pattern, such as train/notes.mp4" in capsys.readouterr().err


def test_a_caption_alone_is_the_category_too(tmp_path):
    assert seen(read(tmp_path, ["7_pushLeft.mp4", "8_fall.mp4"], path_pattern=r"\d_(?P<caption>\w+)")) == [
        ("pushLeft", "push left", ""),
        ("fall", "fall", ""),
    ]


@pytest.mark.parametrize("kind", ["table", "auto"])
def test_what_paths_say_completes_the_captions_of_a_table(tmp_path, kind):
    path = tmp_path / "x.csv"
    path.write_text("path,caption\ntest/ann_jump.mp4,a cat jumps\ntrain/bob_fall.mp4,a cup falls\n")
    dataset = reading(kind, path).model_copy(update={"path_pattern": r"(?P<split>\w+)/\w+_(?P<category>\w+)"})
    rows = [(row.template, row.label, row.official_split) for row in read_rows(path, dataset)]
    assert rows == [("jump", "a cat jumps", "test"), ("fall", "a cup falls", "train")]


@pytest.mark.parametrize(
    ("pattern", "told"),
    [(r"x(?P<caption>\d)", "fits no path, such as KTH"), (r"(?P<split>KTH)(?P<caption>\d)", "finds the split 'KTH'")],
)
def test_a_pattern_that_finds_nothing_of_use_is_named(tmp_path, pattern, told):
    with pytest.raises(UserError, match=rf"dataset\.path_pattern .*{told}"):
        read(tmp_path, ["KTH1.avi"], path_pattern=pattern)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(?P<class>a)", "has brackets called class; known are (?P<caption>...), (?P<category>...), (?P<group>...)"),
        ("(a)(b)", "has 2 brackets without names; it needs one, which is the group, or names: (?P<caption>...)"),
        ("(", "is not a regular expression"),
    ],
)
def test_params_refuse_a_pattern_that_means_nothing(pattern, told):
    with pytest.raises(UserError) as raised:
        changed({"dataset": {"path_pattern": pattern}})
    assert told in str(raised.value)
