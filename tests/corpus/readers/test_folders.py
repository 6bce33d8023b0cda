"""A folder of videos per category -> rows."""

import pytest
from pictures import write_tar, write_zip
from settings import reading

from pipeline.corpus import readers
from pipeline.corpus.readers.folders import spell_out
from pipeline.corpus.video_files import find_videos
from pipeline.errors import UserError


def read_rows(folder):
    return readers.read_rows(folder, reading("folders", folder))


def fill(folder, *files):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(file.encode())
    return folder


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("YoYo", "yo yo"),
        ("brush_hair", "brush hair"),
        ("playing guitar", "playing guitar"),
        ("catching or throwing baseball", "catching or throwing baseball"),
        ("doing push-ups", "doing push-ups"),
        ("pushing-something-up", "pushing something up"),
        ("BMXRiding", "bmx riding"),
        ("Cook.Cleandishes", "cook cleandishes"),
        ("v1.2", "v1.2"),
        ("TV", "tv"),
        ("Level2Jump", "level2 jump"),
        ("élan_vital", "élan vital"),
        ("", ""),
    ],
)
def test_the_name_of_a_class_becomes_words(name, caption):
    assert spell_out(name) == caption


def test_classes_are_categories_and_files_come_sorted(tmp_path):
    fill(tmp_path, "b_class/2.mp4", "b_class/1.avi", "AClass/deeper/3.webm")
    rows = read_rows(tmp_path)
    assert [(r.video, r.id, r.template, r.label, r.official_split) for r in rows] == [
        ("AClass/deeper/3.webm", "AClass+deeper+3.webm", "AClass", "a class", "all"),
        ("b_class/1.avi", "b_class+1.avi", "b_class", "b class", "all"),
        ("b_class/2.mp4", "b_class+2.mp4", "b_class", "b class", "all"),
    ]


def test_folders_of_splits_above_the_classes_are_parts(tmp_path):
    fill(tmp_path, "train/up/1.mp4", "val/up/2.mp4", "Test/down/3.mp4", "annotations/list.txt")
    rows = [r for r in read_rows(tmp_path) if r.video.endswith(".mp4")]
    assert [(r.official_split, r.template, r.id) for r in rows] == [
        ("test", "down", "Test+down+3.mp4"),
        ("train", "up", "train+up+1.mp4"),
        ("validation", "up", "val+up+2.mp4"),
    ]


@pytest.mark.parametrize("folders", [("train_256", "val_256"), ("sky_train", "sky_val"), ("trainingSet", "valSet")])
def test_folders_of_splits_may_have_the_same_words_besides(tmp_path, folders):
    fill(tmp_path, f"{folders[0]}/up/1.mp4", f"{folders[1]}/up/2.mp4")
    assert {(r.official_split, r.template) for r in read_rows(tmp_path)} == {("train", "up"), ("validation", "up")}


@pytest.mark.parametrize("folders", [("toy train", "hard test"), ("train_1", "train_2"), ("train_256", "other")])
def test_folders_with_words_of_splits_are_classes_if_anything_else_differs(tmp_path, folders):
    fill(tmp_path, f"{folders[0]}/up/1.mp4", f"{folders[1]}/up/2.mp4")
    assert {(r.official_split, r.template) for r in read_rows(tmp_path)} == {("all", folders[0]), ("all", folders[1])}


def test_folders_of_splits_may_be_within_those_of_classes(tmp_path):
    names = [f"data/{word}/{split}/{word}_1.mp4" for word in ("ABOUT", "WATER") for split in ("train", "val")]
    fill(tmp_path, *names, "data/ABOUT/notes.txt")
    for kind in ("folders", "auto"):
        rows = [r for r in readers.read_rows(tmp_path, reading(kind, tmp_path)) if r.video.endswith(".mp4")]
        assert [(r.video, r.official_split, r.template) for r in rows] == [
            (names[0], "train", "ABOUT"),
            (names[1], "validation", "ABOUT"),
            (names[2], "train", "WATER"),
            (names[3], "validation", "WATER"),
        ]
    fill(tmp_path, "data/MORE/1.mp4")  # outside of the splits
    assert {r.official_split for r in read_rows(tmp_path)} == {"all"}


def test_folders_called_like_splits_that_hold_videos_or_have_others_beside_them_are_classes(tmp_path):
    fill(tmp_path / "flat", "train/1.mp4", "test/2.mp4")
    assert {(r.template, r.official_split) for r in read_rows(tmp_path / "flat")} == {("train", "all"), ("test", "all")}
    fill(tmp_path / "vehicles", "train/a/1.mp4", "car/b/2.mp4")
    assert {(r.template, r.official_split) for r in read_rows(tmp_path / "vehicles")} == {
        ("train", "all"),
        ("car", "all"),
    }


def test_videos_of_a_split_without_folders_of_classes_have_no_class(tmp_path):
    fill(tmp_path, "train/up/1.mp4", "train/down/2.mp4", "test/3.mp4")
    assert [(r.video, r.template, r.official_split) for r in read_rows(tmp_path)] == [
        ("test/3.mp4", "", "test"),
        ("train/down/2.mp4", "down", "train"),
        ("train/up/1.mp4", "up", "train"),
    ]


def test_folders_that_all_videos_are_in_are_no_class(tmp_path):
    fill(tmp_path, "set/UCF-101/up/1.mp4", "set/UCF-101/down/deeper/2.mp4", "set/notes.txt", "README.md")
    assert {r.video: r.template for r in read_rows(tmp_path)} == {
        "README.md": "",
        "set/UCF-101/down/deeper/2.mp4": "down",
        "set/UCF-101/up/1.mp4": "up",
        "set/notes.txt": "",
    }
    fill(tmp_path / "only", "up/1.mp4", "up/2.mp4")
    assert {r.template for r in read_rows(tmp_path / "only")} == {"up"}


def test_hidden_files_are_skipped_and_others_are_rows_whatever_they_are(tmp_path):
    fill(tmp_path, "up/1.mp4", "up/.DS_Store", ".git/x.mp4", "up/notes.txt", "top.mp4")
    (tmp_path / "linked").symlink_to(tmp_path / "up")
    assert {(r.video, r.template) for r in read_rows(tmp_path)} == {
        ("up/1.mp4", "up"),
        ("up/notes.txt", "up"),
        ("top.mp4", ""),
        ("linked", ""),
    }


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder of videos; see dataset\.labels"):
        read_rows(tmp_path / "nowhere")


def test_videos_without_any_sub_folder_are_refused_with_what_it_would_name(tmp_path):
    fill(tmp_path, "1.mp4", "2.mp4", "notes.txt")
    with pytest.raises(UserError, match=r"1\.mp4 and all other videos lie in no sub-folder, whose name would be their"):
        read_rows(tmp_path)


def test_splits_may_lie_in_one_folder_as_on_the_hub(tmp_path):
    for top in ("one", "two/data", "three/set/data"):
        fill(tmp_path / top, "train/cat/a.mp4", "test/dog/b.mp4")
        folder = tmp_path / top.partition("/")[0]
        rows = readers.read_rows(folder, reading("folders", folder))
        assert [(row.label, row.official_split) for row in rows] == [("dog", "test"), ("cat", "train")]


@pytest.mark.parametrize("kind", ["folders", "auto"])
def test_classes_may_lie_in_archives(tmp_path, kind):
    def seen(labels):
        rows = readers.read_rows(labels, reading(kind, labels).model_copy(update={"videos": str(labels)}))
        found = find_videos(labels, [(row.id, row.video) for row in rows], 1)
        return [(file, row.label, row.official_split) for file, row in zip(found, rows, strict=True)]

    members = {"UCF/BrushHair/a.avi": b"v", "UCF/Clap/b.avi": b"v", "UCF/Clap/c/1.jpg": b"p", "UCF/README": b"x"}
    write_zip(tmp_path / "one" / "UCF.zip", members)
    expected = [("BrushHair/a.avi", "brush hair"), ("Clap/b.avi", "clap"), ("Clap/c/*.jpg", "clap")]
    assert seen(tmp_path / "one") == [(f"UCF.zip/UCF/{path}", label, "all") for path, label in expected]
    assert seen(tmp_path / "one" / "UCF.zip") == [(f"UCF/{path}", label, "all") for path, label in expected]
    write_tar(tmp_path / "two" / "train.tar.gz", {"cat/a.mp4": b"v", "dog/b.mp4": b"v"}, "w:gz")
    write_tar(tmp_path / "two" / "val.tar", {"cat/c.mp4": b"v"})
    assert seen(tmp_path / "two") == [
        ("train.tar.gz/cat/a.mp4", "cat", "train"),
        ("train.tar.gz/dog/b.mp4", "dog", "train"),
        ("val.tar/cat/c.mp4", "cat", "validation"),
    ]
