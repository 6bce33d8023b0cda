"""Objects tracked in videos: look-alikes of the files of YouTube-VIS, OVIS, TAO and BURST."""

import pytest
from set_labels import WHOLE, section, seen

from pipeline.corpus.readers import read_rows

CATEGORIES = [{"id": 1, "name": "giant_panda", "supercategory": "x"}, {"id": 7, "name": "dog"}]
PANDA, DOG = ("giant panda", "giant_panda"), ("dog", "dog")


def instances(*folders, annotated=True):
    """A file of YouTube-VIS: two pandas and a dog in the first video, and nothing in the last."""
    videos = [
        {"id": number, "file_names": [f"{folder}/00000.jpg", f"{folder}/00005.jpg"], "width": 8, "length": 2}
        for number, folder in enumerate(folders, 1)
    ]
    listed = [(1, 1), (1, 7), (1, 1), *((number, 7) for number in range(2, len(folders)))]
    annotations = [
        {"id": number, "video_id": video, "category_id": category, "bboxes": [None, [0, 0, 2, 2]], "iscrowd": 0}
        for number, (video, category) in enumerate(listed)
    ]
    return {"info": {}, "videos": videos, "categories": CATEGORIES, "annotations": annotations if annotated else None}


def test_a_video_is_a_clip_for_each_category_in_it(place):
    labels = place({"train.json": instances("0a1", "0b2", "0c3")}, ["train/JPEGImages/0a1/00000.jpg"])
    assert seen("youtube_vis", labels) == [
        (video, *names, "all", WHOLE, "")
        for video, names in (
            ("JPEGImages/0a1", PANDA),
            ("JPEGImages/0a1", DOG),
            ("JPEGImages/0b2", DOG),
            ("JPEGImages/0c3", ("", "")),  # of which nothing is said, so that it is dropped with a reason
        )
    ]


def test_splits_without_annotations_are_skipped(place, capsys):
    files = {
        "train/instances.json": instances("0a1", "0b2"),
        "valid/instances.json": instances("0d4", annotated=False),
    }
    rows = seen("youtube_vis", place(files, ["0a1/00000.jpg"]))
    assert {row[0] for row in rows} == {"0a1", "0b2"}
    assert "valid/instances.json has no captions and is skipped" in capsys.readouterr().err


def test_tao_names_its_videos(place):
    video = {"id": 0, "name": "train/YFCC100M/v_f69", "width": 8, "neg_category_ids": [], "metadata": {}}
    content = {
        "videos": [video],
        "images": [{"id": 5, "video": video["name"], "file_name": f"{video['name']}/frame0391.jpg", "video_id": 0}],
        "tracks": [{"id": 3, "category_id": 7, "video_id": 0}],
        "annotations": [{"id": 1, "image_id": 5, "track_id": 3, "video_id": 0, "category_id": 7, "bbox": [0, 0, 1, 1]}],
        "categories": CATEGORIES,
    }
    labels = place({"train.json": content}, ["frames/train/YFCC100M/v_f69/frame0391.jpg"])
    told = [("train/YFCC100M/v_f69", *DOG, "all", WHOLE, "")]
    assert seen("tao", labels) == told
    del content["annotations"][0]["video_id"]  # as other tracking sets in COCO's form
    assert seen("tao", place({"train.json": content})) == told


def test_burst_has_sequences_of_tracks(place):
    sequence = {
        "id": 4,
        "dataset": "LaSOT",
        "seq_name": "zebra-1",
        "annotated_image_paths": ["00000001.jpg"],
        "segmentations": [{"1": {"rle": "x"}}],
        "track_category_ids": {"1": 7, "2": 7, "3": 1},
    }
    content = {"sequences": [sequence], "categories": CATEGORIES, "split": "train"}
    labels = place({"train.json": content}, ["train/LaSOT/zebra-1/00000001.jpg"])
    assert seen("burst", labels) == [("LaSOT/zebra-1", *names, "all", WHOLE, "") for names in (DOG, PANDA)]


def test_the_format_json_reads_the_names_as_columns(place):
    labels = place({"train.json": instances("0a1", "0b2")}, ["0a1/00000.jpg"])
    rows = read_rows(labels, section("json", labels, path="video_folder", caption="object_names"))
    assert [(row.video, row.label) for row in rows] == [("0a1", "giant_panda"), ("0a1", "dog"), ("0b2", "")]


@pytest.mark.parametrize("number", [9, None, [7], {"id": 7}])
def test_an_object_of_a_category_without_a_name_is_a_row_without_a_caption(place, number):
    content = instances("0a1", "0b2")
    content["annotations"] = [{"id": 9, "video_id": 1, "category_id": number}]
    rows = seen("youtube_vis", place({"train.json": content}))
    assert [row[1:3] for row in rows] == [("", ""), ("", "")]
