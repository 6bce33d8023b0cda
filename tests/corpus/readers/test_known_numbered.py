"""Published sets that number answers, clips, lines or files: look-alikes of the real ones."""

import pytest
from set_labels import WHOLE, faults, section, seen

from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError

PARTS = ("start", "end", "action", "justification")
WHOLE_ROW = ("all", "all", WHOLE)


def write_answers(*rows):
    """A file of BDD-X: an address and up to 15 answers in a line."""
    header = ["Input.Video", *(f"Answer.{number}{part}" for number in range(1, 16) for part in PARTS)]
    lines = [[f"https://x.com/video_1/{name}", *answers] for name, *answers in rows]
    return "".join(",".join(line + [""] * (len(header) - len(line))) + "\n" for line in (header, *lines))


STOP = ("0", "5", "The car stops", "because the light is red")


def test_answers_of_bdd_x_are_parts_of_the_video_that_the_address_ends_with(place):
    table = write_answers(("a-1.mov", *STOP, "5", "12", "The car moves", "since it is green"), ("b-2.mov", *STOP))
    assert seen("bdd_x", place({"BDD-X-Annotations_v1.csv": table}, ["a-1.mov"])) == [
        ("a-1.mov", "The car stops", "all", "all", (0, 5), ""),
        ("a-1.mov", "The car moves", "all", "all", (5, 12), ""),
        ("b-2.mov", "The car stops", "all", "all", (0, 5), ""),
    ]


def test_an_answer_without_a_text_or_with_times_in_no_order_is_dropped_with_a_reason(place):
    table = write_answers(("a.mov", "3", "5", "", "", "9", "5", "The car moves", ""), ("b.mov",))
    labels = place({"BDD-X-Annotations_v1.csv": table})
    assert [row[:2] + row[4:5] for row in seen("bdd_x", labels)] == [("a.mov", "", (3, 5))]
    assert [fault for _, fault in faults("bdd_x", labels)] == ["from 9 to 5 s is reversed", "nobody has described it"]


def test_lists_of_splits_may_number_their_lines_and_leave_out_the_extension(place):
    table = write_answers(*((f"{name}.mov", *STOP) for name in "abcd"))
    lists = {"train.txt": "1_a\n2_d\n", "val.txt": "3_b\n", "test.txt": "c.mov\n"}
    rows = seen("bdd_x", place({"BDD-X-Annotations_v1.csv": table, **lists}))
    assert [row[3] for row in rows] == ["train", "validation", "test", "train"]


def test_ref_davis_has_lists_of_its_splits(place):
    files = {"Davis17_annot1.txt": 'bear 1 "a bear"\nbmx-trees 1 "a bike"\n', "Davis17_annot2.txt": 'bear 1 "it"\n'}
    lists = {"ImageSets/2017/train.txt": "bear\n", "ImageSets/2017/val.txt": "bmx-trees\n"}
    rows = seen("ref_davis", place({**files, **lists}))
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("bear", "a bear", "train"),
        ("bmx-trees", "a bike", "validation"),
        ("bear", "it", "train"),
    ]


KOALA = (
    "videoID,url,timestamp,caption,clarity_score,aesthetic_score,motion_score,video_training_suitability_score\n"
    "-a_b_12,https://www.youtube.com/watch?v=-a_b,\"['0:00:54.000', '0:01:02.500']\",A kiwi rests,0.9,5.1,3.2,4.4\n"
)


def test_koala_36m_has_clips_that_are_cut_or_parts_of_a_video(place):
    """Panda-70M has the same columns, but its times are of the video that a row names."""
    labels = place({"Koala_36M_1.csv": KOALA}, ["Koala_36M_1/-a_b_12.mp4"])
    assert seen("koala36m", labels) == [("-a_b_12", "A kiwi rests", *WHOLE_ROW, "-a_b")]
    (labels.parent / "videos/Koala_36M_1/-a_b_12.mp4").rename(labels.parent / "videos/-a_b.mp4")
    assert seen("koala36m", labels) == [("-a_b", "A kiwi rests", "all", "all", (54, 62.5), "")]


def test_numbered_files_are_read_as_one(place):
    labels = place({f"Koala_36M_{number}.csv": KOALA.replace("a_b_12", f"a_b_{number}") for number in (1, 2)})
    assert {row[0] for row in seen("koala36m", labels)} == {"-a_b_1", "-a_b_2"}


def test_files_that_are_neither_numbered_nor_named_after_splits_are_refused(place):
    labels = place({"Koala_36M_1.csv": KOALA, "mine.csv": KOALA})
    with pytest.raises(UserError, match=r"name the file in dataset\.labels, or the files after their splits"):
        read_rows(labels, section("koala36m", labels))
