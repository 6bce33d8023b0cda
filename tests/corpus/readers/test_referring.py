"""Published sets that say of frames, GIFs and scenes what is in them: look-alikes of the real files."""

import pytest
from set_labels import WHOLE, section, seen

from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError

WHOLE_ROW = ("all", "all", WHOLE, "")


def express(*names):
    said = {"0": {"exp": "a dog on the left", "obj_id": "1"}, "1": {"exp": "the ball", "obj_id": ["2"]}}
    return {"videos": {name: {"expressions": said, "vid_id": 4, "frames": ["00000", "00005"]} for name in names}}


def test_expressions_are_found_in_the_folders_of_their_splits_and_masks_are_not_clips(place):
    frames = [f"train/{folder}/0a1/00000.{kind}" for folder, kind in (("JPEGImages", "jpg"), ("Annotations", "png"))]
    files = {"train/meta_expressions.json": express("0a1"), "valid/meta_expressions.json": express("0b1")}
    labels = place({**files, "train/mask_dict.json": "not even JSON"}, [*frames, "valid/JPEGImages/0b1/00000.jpg"])
    assert [row[:2] + row[3:4] for row in seen("ref_vos", labels)] == [
        ("JPEGImages/0a1", "a dog on the left", "train"),
        ("JPEGImages/0a1", "the ball", "train"),
        ("JPEGImages/0b1", "a dog on the left", "validation"),
        ("JPEGImages/0b1", "the ball", "validation"),
    ]


def test_expressions_are_of_frames_in_any_folder(place):
    labels = place({"meta_expressions.json": express("0a1")}, ["0a1/00000.jpg"])
    assert [row[:2] for row in seen("ref_vos", labels)] == [("0a1", "a dog on the left"), ("0a1", "the ball")]


@pytest.mark.parametrize("folder", ["JPEGImages/480p", "train/JPEGImages", "Annotations", "frames"])
def test_folders_of_frames_and_masks_name_no_classes(tmp_path, folder):
    for clip in ("bear", "goat"):
        (tmp_path / folder / clip).mkdir(parents=True)
        (tmp_path / folder / clip / "00000.jpg").write_bytes(b"x")
        (tmp_path / "other/sub" / clip).mkdir(parents=True)
        (tmp_path / "other/sub" / clip / "00000.jpg").write_bytes(b"x")
    dataset = section("auto", tmp_path).model_copy(update={"videos": str(tmp_path)})
    with pytest.raises(UserError, match="is in a folder for frames or masks, which names no class"):
        read_rows(tmp_path, dataset)


def test_videos_may_show_masks_and_frames(tmp_path):
    for name in ("masks/a.mp4", "frames/b.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    dataset = section("auto", tmp_path).model_copy(update={"videos": str(tmp_path)})
    assert {row.label for row in read_rows(tmp_path, dataset)} == {"masks", "frames"}


def test_ref_davis_quotes_what_it_says_of_a_numbered_object(place):
    labels = place(
        {"Davis17_annot1.txt": 'bmx-trees 1 "a man on a bike"\nbmx-trees 2 "a bmx bike"\nbear 1 "a "big" bear"\n'}
    )
    assert [row[:2] for row in seen("ref_davis", labels)] == [
        ("bmx-trees", "a man on a bike"),
        ("bmx-trees", "a bmx bike"),
        ("bear", 'a "big" bear'),
    ]


def test_tgif_has_addresses_and_lists_of_its_splits(place):
    names = [f"https://38.media.tumblr.com/9f{number}/tumblr_{number}.gif" for number in range(3)]
    files = {"tgif-v1.0.tsv": "".join(f'{name}\ta man is "glaring, they say\n' for name in names), "README.md": "x"}
    splits = zip(("train", "val", "test"), names, strict=True)
    labels = place({**files, **{f"splits/{split}.txt": f"{name}\n" for split, name in splits}})
    assert seen("tgif", labels) == [
        (f"tumblr_{number}.gif", 'a man is "glaring, they say', "all", split, WHOLE, "")
        for number, split in enumerate(("train", "validation", "test"))
    ]
    assert {row[3] for row in seen("tgif", labels / "tgif-v1.0.tsv")} == {"all"}


def test_clips_of_mpii_md_are_named_by_their_film(place):
    name = "0001_American_Beauty_00.00.51.926-00.00.54.129"
    labels = place({"MPII-MD.tsv": f"{name}\tSOMEONE takes out a pen.\n"}, [f"0001_American_Beauty/{name}.avi"])
    assert seen("mpii_md", labels) == [(name, "SOMEONE takes out a pen.", *WHOLE_ROW[:3], "0001_American_Beauty")]


def test_vidstg_has_the_part_that_is_described_in_frames(place):
    row = {
        "vid": "24",
        "fps": 20,
        "used_segment": {"begin_fid": 0, "end_fid": 80},
        "temporal_gt": {"begin_fid": 10, "end_fid": 30},
        "captions": [{"target_id": 0, "type": 0, "description": "a dog is next to a car"}],
    }
    labels = place({"train_annotations.json": [row, {**row, "captions": []}]}, ["0001/24.mp4"])
    assert [row[:2] + row[4:5] for row in seen("vidstg", labels)] == [
        ("24", "a dog is next to a car", (0.5, 1.5)),
        ("24", "", (0.5, 1.5)),
    ]


@pytest.mark.parametrize("name", ["vript_captions.jsonl", "vript_captions.json"])
def test_vript_says_more_of_a_scene_than_its_caption(place, name):
    said = '{"shot_type": "Close-up", "content": "A car drives", "scene_title": "Road"}'
    row = f'{{"clip_id": "-_0Ba-Scene-002", "caption": {said}, "voiceover": ["x"], "video_title": "y"}}'
    rows = seen("vript", place({name: row if name.endswith("l") else f"[{row}]"}))
    assert rows == [("-_0Ba-Scene-002", "A car drives", *WHOLE_ROW[:3], "-_0Ba")]
