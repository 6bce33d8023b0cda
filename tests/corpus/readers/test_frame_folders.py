"""Labels of clips that are folders of pictures: every format finds them."""

import json

import pytest
from pictures import number_names, write_zip
from PIL import Image
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.corpus.readers.folders import walk
from pipeline.corpus.video_files import find_videos


def write_clip(folder, form="{:05}.jpg", count=3):
    folder.mkdir(parents=True)
    for name in number_names(count, form):
        (folder / name).write_bytes(b"picture")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def find(kind, labels, videos, **options):
    columns = options.pop("columns", {})
    dataset = reading(kind, labels, **columns).model_copy(update={"videos": str(videos), **options})
    rows = read_rows(labels, dataset)
    found = find_videos(videos, [(row.id, row.video) for row in rows], 1)
    return [(file, row.label, row.official_split) for file, row in zip(found, rows, strict=True)]


@pytest.mark.parametrize("kind", ["lists", "auto"])
def test_lists_of_jester_and_of_something_v1(tmp_path, kind):
    write_clip(tmp_path / "v/34870")
    write_clip(tmp_path / "v/9")
    write(tmp_path / "l/jester-v1-train.csv", "34870;Drumming Fingers\n")
    write(tmp_path / "l/jester-v1-validation.csv", "9;No gesture\n")
    assert find(kind, tmp_path / "l", tmp_path / "v") == [
        ("34870/*.jpg", "Drumming Fingers", "train"),
        ("9/*.jpg", "No gesture", "validation"),
    ]


@pytest.mark.parametrize("kind", ["lists", "auto"])
@pytest.mark.parametrize("slash", ["/", "\\"])
def test_lists_of_mmaction2_with_a_count_of_frames(tmp_path, capsys, kind, slash):
    write_clip(tmp_path / "v/brush_hair/a clip", "img_{:05}.jpg")
    write_clip(tmp_path / "v/clap/b", "img_{:05}.jpg")
    write(tmp_path / "l/hmdb51_train_list.txt", f"brush_hair{slash}a clip 3 0\nclap{slash}b 120 1\n")
    write(tmp_path / "l/classes.txt", "brush_hair\nclap\n")
    assert find(kind, tmp_path / "l", tmp_path / "v", classes="classes.txt") == [
        ("brush_hair/a clip/img_*.jpg", "brush hair", "train"),
        ("clap/b/img_*.jpg", "clap", "train"),
    ]
    assert "of three columns the second is taken for the number of frames" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["folders", "auto"])
def test_a_folder_for_each_class_with_one_for_each_clip(tmp_path, kind):
    write_clip(tmp_path / "train/BrushHair/a")
    write_clip(tmp_path / "train/BrushHair/b", "frame_{}.png", 12)
    write(tmp_path / "train/BrushHair/b/notes.txt", "x")
    write_clip(tmp_path / "val/Clap/c")
    assert find(kind, tmp_path, tmp_path) == [
        ("train/BrushHair/a/*.jpg", "brush hair", "train"),
        ("train/BrushHair/b/frame_*.png", "brush hair", "train"),
        ("val/Clap/c/*.jpg", "clap", "validation"),
    ]


def test_a_text_beside_each_folder(tmp_path):
    write_clip(tmp_path / "one")
    write(tmp_path / "one.txt", "a dog")
    write_clip(tmp_path / "v1.5")
    write(tmp_path / "v1.5.txt", "a cat")
    for kind in ("sidecar", "auto"):
        assert find(kind, tmp_path, tmp_path) == [("one/*.jpg", "a dog", "all"), ("v1.5/*.jpg", "a cat", "all")]


def test_tables_json_and_official_rows(tmp_path):
    for name in ("7", "8"):
        write_clip(tmp_path / "v" / name)
    table = write(tmp_path / "x.csv", "path,caption\n7,one\n8/,two\n8.mp4,three\n")
    assert find("table", table, tmp_path / "v") == [
        ("7/*.jpg", "one", "all"),
        ("8/*.jpg", "two", "all"),
        ("8/*.jpg", "three", "all"),
    ]
    listed = write(tmp_path / "x.json", json.dumps({"7": {"caption": "one"}}))
    assert find("json", listed, tmp_path / "v") == [("7/*.jpg", "one", "all")]
    row = {"id": "8", "label": "pushing a mug", "template": "Pushing [something]", "placeholders": ["a mug"]}
    rows = write(tmp_path / "train.json", json.dumps([row]))
    assert find("something", rows, tmp_path / "v") == [("8/*.jpg", "pushing a mug", "all")]


def test_ucf101_with_frames_in_place_of_videos(tmp_path):
    write(tmp_path / "l/classInd.txt", "1 Archery\r\n")
    write(tmp_path / "l/trainlist01.txt", "Archery/v_Archery_g08_c01.avi 1\r\n")
    write(tmp_path / "l/testlist01.txt", "Archery/v_Archery_g01_c01.avi\r\n")
    for group in ("08", "01"):
        write_clip(tmp_path / f"v/Archery/v_Archery_g{group}_c01", "img_{:05}.jpg")
    assert find("ucf101", tmp_path / "l", tmp_path / "v") == [
        ("Archery/v_Archery_g08_c01/img_*.jpg", "archery", "train"),
        ("Archery/v_Archery_g01_c01/img_*.jpg", "archery", "test"),
    ]


def test_names_of_a_list_may_be_folders_of_an_archive(tmp_path):
    write_zip(tmp_path / "v/frames.zip", {f"20bn/7/{name}": b"picture" for name in number_names(3)})
    write(tmp_path / "l/train.csv", "7;Drumming Fingers\n")
    for videos in ("v", "v/frames.zip"):
        ((found, label, _),) = find("lists", tmp_path / "l", tmp_path / videos)
        assert found.endswith("20bn/7/*.jpg")
        assert label == "Drumming Fingers"


@pytest.mark.parametrize("kind", ["folders", "auto"])
def test_animated_webps_are_clips_and_stills_are_frames(tmp_path, kind):
    for folder, pictures in [("up/a1", 3), ("up/a2", 3), ("down/b1", 1), ("down/b2", 1)]:
        first, *others = (Image.new("RGB", (16, 16), (shade, 0, 0)) for shade in range(0, 100 * pictures, 100))
        above, name = folder.split("/")
        path = tmp_path / (f"{folder}.webp" if pictures > 1 else f"{above}/clip/{name}.webp")
        path.parent.mkdir(parents=True, exist_ok=True)
        first.save(path, save_all=True, append_images=others)
    assert find(kind, tmp_path, tmp_path) == [
        ("down/clip/b*.webp", "down", "all"),
        ("up/a1.webp", "up", "all"),
        ("up/a2.webp", "up", "all"),
    ]
    labels = write(tmp_path / "x.csv", "path,caption\nup/a2.webp,it moves\ndown/clip/b1.webp,it does not\n")
    (moving, still) = find("table", labels, tmp_path)
    assert moving[0] == "up/a2.webp" and still[0].reason == "unusable_path"


@pytest.mark.parametrize("below", [".cache", "@eaDir", "__MACOSX"])
def test_folders_of_the_system_do_not_keep_pictures_from_being_a_clip(tmp_path, below):
    for name in ("001.jpg", "002.jpg", f"{below}/001.jpg"):
        (tmp_path / "wave/one" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "wave/one" / name).write_bytes(b"x")
    assert [(file.path.as_posix(), file.is_video) for file in walk(tmp_path)] == [("wave/one", True)]
