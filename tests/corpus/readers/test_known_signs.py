"""Published sets of sign languages: look-alikes that have the oddities of the real files."""

import pytest
from set_labels import WHOLE, faults, seen

CLASSES = "ClassId,TR,EN\n0,abla,sister\n1,afiyet_olsun,enjoy_your_meal\n2,acikmak,hungry\n"


def test_autsl_has_a_colour_and_a_depth_video_of_each_clip_and_signers(place):
    files = {
        "train_labels.csv": "signer0_sample1,1\nsigner0_sample2,0\n",
        "validation_labels.csv": "signer11_sample1,2\n",
        "SignList_ClassId_TR_EN.csv": CLASSES,
    }
    videos = [f"train/signer0_sample1_{kind}.mp4" for kind in ("color", "depth")]
    assert seen("autsl", place(files, videos)) == [
        ("signer0_sample1_color", "enjoy your meal", "enjoy_your_meal", "train", WHOLE, "signer0"),
        ("signer0_sample2_color", "sister", "sister", "train", WHOLE, "signer0"),
        ("signer11_sample1_color", "hungry", "hungry", "validation", WHOLE, "signer11"),
    ]


def test_a_signer_in_two_official_splits_is_no_group(place):
    files = {"train_labels.csv": "signer0_sample1,1\n", "test_labels.csv": "signer0_sample2,0\nsigner1_sample1,1\n"}
    rows = seen("autsl", place({**files, "SignList_ClassId_TR_EN.csv": CLASSES}))
    assert [row[5] for row in rows] == ["", "signer1", ""]


NAMED = "ZfJikvphhgY-00:01:38.099-00:01:45.120"


@pytest.mark.parametrize(
    ("video", "part"), [(NAMED.replace(":", "%"), WHOLE), (NAMED, WHOLE), ("ZfJikvphhgY", (98.099, 105.12))]
)
def test_openasl_is_read_cut_and_whole(place, capsys, video, part):
    header = "vid\tyid\tstart\tend\traw-text\ttokenized-text\tgloss\tsplit\n"
    row = f'{NAMED}\tZfJikvphhgY\t00:01:38.099\t00:01:45.120\tIt "is so.\tit " is so .\tIT SO\tvalid\n'
    labels = place({"openasl-v1.0.tsv": header + row, "bbox-v1.0.json": {NAMED: [0, 0, 1, 1]}}, [f"raw/{video}.mp4"])
    assert [row[:3] + row[4:] for row in seen("openasl", labels)] == [(video, 'It "is so.', "all", part, "ZfJikvphhgY")]
    assert "look like parts" not in capsys.readouterr().err


def instance(number, **changes):
    usual = {"fps": 25, "frame_start": 1, "frame_end": -1, "signer_id": 7, "split": "train", "url": "http://x/y.swf"}
    return {"bbox": [0, 0, 1, 1], "instance_id": number, "video_id": f"0{number}", **usual, **changes}


PAGE = "https://www.youtube.com/watch?v=0d5c0Y48bKM"
WLASL = [
    {"gloss": "book", "instances": [instance(1, url=PAGE, frame_start=26, frame_end=75), instance(2, signer_id=-1)]},
    {"gloss": "thank you", "instances": [instance(3, signer_id=8, split="val", fps="x")]},
]


def test_wlasl_lists_the_clips_of_a_word_with_their_signers(place, capsys):
    files = {"WLASL_v0.3.json": WLASL, "wlasl_class_list.txt": "0\tbook\n", "missing.txt": "01\n"}
    assert seen("wlasl", place(files, ["videos/01.mp4", "videos/02.mp4", "videos/03.mp4"])) == [
        ("01", "book", "book", "train", WHOLE, "7"),
        ("02", "book", "book", "train", WHOLE, ""),
        ("03", "thank you", "thank you", "validation", WHOLE, "8"),
    ]
    assert "look like parts" not in capsys.readouterr().err


def test_source_videos_of_wlasl_are_cut_by_frames_from_1_on(place):
    labels = place({"WLASL_v0.3.json": WLASL}, ["raw/0d5c0Y48bKM.mp4", "raw/02.mp4"])
    assert [row[:2] + row[4:5] for row in seen("wlasl", labels)] == [
        ("0d5c0Y48bKM", "book", (1.0, 3.0)),
        ("02", "book", WHOLE),
    ]
    assert [fault for _, fault in faults("wlasl", labels)] == ["its frames, or their rate, are no numbers"]


def test_wlasl_without_splits_is_read_all_the_same(place):
    kept = [[{key: one[key] for key in one if key != "split"} for one in row["instances"]] for row in WLASL]
    bare = [{**row, "instances": instances} for row, instances in zip(WLASL, kept, strict=True)]
    assert {row[3] for row in seen("wlasl", place({"mine.json": bare}, ["01.mp4"]))} == {"all"}
