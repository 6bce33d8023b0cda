"""Names of files that tell the source of a clip."""

import pytest
from settings import reading

from pipeline.corpus.readers import read_rows


def groups(folder, files, kind="folders", **changes):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, newline="")
    dataset = reading(kind, folder).model_copy(update=changes)
    return {row.video: row.group for row in read_rows(folder, dataset)}


UCF = ["HandstandPushups/v_HandStandPushups_g01_c01.avi", "YoYo/v_YoYo_g01_c02.avi", "YoYo/v_YoYo_g25_c01.avi"]
KINETICS = ["train/yoga/-abcdefghij_000001_000011.mp4", "val/yoga/0wR5jVB-WPk_000417_000427.mp4"]


def test_clips_of_one_source_in_folders_of_classes_are_a_group(tmp_path, capsys):
    assert groups(tmp_path / "ucf", dict.fromkeys(UCF, "v")) == dict(
        zip(UCF, ["v_HandStandPushups_g01", "v_YoYo_g01", "v_YoYo_g25"], strict=True)
    )
    assert "called as those of UCF-101: clips of one source stay in one split" in capsys.readouterr().out
    assert set(groups(tmp_path / "kinetics", dict.fromkeys(KINETICS, "v")).values()) == {"-abcdefghij", "0wR5jVB-WPk"}


def test_a_file_beside_the_folders_of_classes_changes_no_group(tmp_path):
    found = groups(tmp_path, dict.fromkeys(UCF, "v") | {"about/notes.txt": "x"})
    assert found == dict(zip(UCF, ["v_HandStandPushups_g01", "v_YoYo_g01", "v_YoYo_g25"], strict=True)) | {
        "about/notes.txt": ""
    }


def test_clips_that_video2dataset_cut_from_one_video_are_a_group(tmp_path):
    names = ["000000012_00000.mp4", "000000012_00001.mp4", "000000013_00000.mp4"]
    files = dict.fromkeys(names, "v") | {name.replace(".mp4", ".txt"): "a dog" for name in names}
    assert groups(tmp_path, files, "sidecar") == {name: name[:9] for name in names}


@pytest.mark.parametrize(
    ("name", "film"),
    [
        ("brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "April_09"),
        ("walk/#20_Rhythm_(2)_walk_f_cm_np10_fr_med_12.avi", "#20_Rhythm_(2)"),
        ("brush_hair/April_09_smile_h_nm_np1_ba_goo_0.avi", "April_09"),
    ],
)
def test_the_film_of_hmdb_stands_before_the_class(tmp_path, name, film):
    assert groups(tmp_path, {name: "v"}) == {name: film}


def test_one_name_of_another_kind_a_group_and_a_pattern_go_before(tmp_path):
    assert set(groups(tmp_path / "one", dict.fromkeys([*UCF, "YoYo/mine.avi"], "v")).values()) == {""}
    assert set(groups(tmp_path / "two", dict.fromkeys(UCF, "v"), path_pattern=r"(g\d+)_c\d+").values()) == {""}


def test_official_splits_go_before_groups(tmp_path):
    lists = {
        "wave_test_split1.txt": "X_wave_f_cm_np1_fr_med_0.avi 1 \nX_wave_f_cm_np1_fr_med_1.avi 2 \n",
        "walk_test_split1.txt": "Y_walk_f_cm_np1_fr_med_0.avi 1 \nY_walk_f_cm_np1_fr_med_1.avi 1 \n",
    }
    assert groups(tmp_path, lists, "hmdb51") == {
        "walk/Y_walk_f_cm_np1_fr_med_0.avi": "Y",
        "walk/Y_walk_f_cm_np1_fr_med_1.avi": "Y",
        "wave/X_wave_f_cm_np1_fr_med_0.avi": "",
        "wave/X_wave_f_cm_np1_fr_med_1.avi": "",
    }
