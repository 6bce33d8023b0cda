"""The stage `draw`: files on disk, the same for any number of workers."""

import hashlib
import json

import pytest

from pipeline.errors import UserError
from pipeline.params import DemoParams
from stages.draw_demo import draw_demo

OPTIONS = DemoParams(clips=6, validation_share=0.3)


def draw(folder, workers=1, seed=17, options=OPTIONS):
    draw_demo(folder / "labels", folder / "videos", options, seed, workers)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    return folder, draw(folder)


@pytest.mark.slow
def test_one_and_two_workers_write_equal_bytes(drawn, tmp_path):
    assert draw(tmp_path, workers=2) == drawn[1]


def test_fewer_clips_are_the_first_of_many(drawn, tmp_path):
    few = draw(tmp_path, options=OPTIONS.model_copy(update={"clips": 2}))
    videos = {name for name in few if name.startswith("videos/")}
    assert len(videos) == 2
    assert all(few[name] == drawn[1][name] for name in videos)


def test_labels_have_the_official_shape_and_train_and_validation_share_no_clip(drawn):
    files = drawn[1]
    rows = {split: json.loads(files[f"labels/{split}.json"]) for split in ("train", "validation")}
    names = json.loads(files["labels/labels.json"])
    assert names["Pushing something from left to right"] == "93"
    for row in rows["train"] + rows["validation"]:
        assert set(row) == {"id", "label", "template", "placeholders"}
        assert row["id"].isdigit()
        assert row["label"] == row["label"].lower()
        assert names[row["template"].replace("[", "").replace("]", "")].isdigit()
    ids = {split: {row["id"] for row in rows[split]} for split in rows}
    assert not ids["train"] & ids["validation"]
    assert {f"videos/{number}.webm" for number in ids["train"] | ids["validation"]} == {
        name for name in files if name.startswith("videos/")
    }


def test_checksums_are_those_of_the_videos_in_order_of_their_ids(drawn):
    files = drawn[1]
    lines = [line.split("  ") for line in files["labels/checksums.txt"].decode().splitlines()]
    assert {name: digest for digest, name in lines} == {
        name.removeprefix("videos/"): hashlib.sha256(data).hexdigest()
        for name, data in files.items()
        if name.startswith("videos/")
    }
    numbers = [int(name.removesuffix(".webm")) for _, name in lines]
    assert numbers == sorted(numbers)


def test_a_second_run_replaces_what_an_interrupted_one_left(drawn, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "12.webm").write_bytes(b"of another seed")
    (tmp_path / "videos" / ".13.4711.webm").write_bytes(b"half a clip")
    assert draw(tmp_path) == drawn[1]
    assert not list((tmp_path / "videos").glob(".*"))


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "videos").mkdir()
    holiday = tmp_path / "videos" / "holiday.mp4"
    holiday.write_bytes(b"precious")
    with pytest.raises(UserError, match=r"holiday\.mp4.*name an empty folder"):
        draw(tmp_path)
    assert holiday.read_bytes() == b"precious"
