"""The stage `filter` as DVC runs it."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from labels import LEFT, RIGHT, UP, row, rows, write_labels, write_videos
from locations import ROOT, list_files
from settings import filtering, reading

from pipeline.errors import UserError
from pipeline.params import ShareParams
from pipeline.records import SPLITS, Clip, Drop
from pipeline.tables import read_table
from stages import filter_labels as stage
from stages.filter_labels import filter_labels

DATASET = reading("something")
OPTIONS = filtering(
    categories=["pushing-*"],
    shares=ShareParams(train=0.7, judge=0.1, val=0.1, test=0.1),
    test_pairs=0.2,
    test_words=["mug"],
)


@pytest.fixture
def dataset(tmp_path):
    """200 training and 50 validation rows of three categories; clip 1 has no video, clip 2 an empty one."""
    listed = rows(250, templates=(RIGHT, LEFT, UP), words=("a book", "a mug", "a pen", "a box", "a cup"))
    write_labels(tmp_path / "labels" / "train.json", listed[:200])
    write_labels(tmp_path / "labels" / "validation.json", listed[200:])
    write_videos(tmp_path / "videos", (item["id"] for item in listed[1:]))
    (tmp_path / "videos" / "2.webm").write_bytes(b"")
    return tmp_path


def choose(dataset, out="out", options=OPTIONS, workers=2):
    """What the stage does in this process; the file of vectors may be absent."""
    places = (dataset / name for name in ("labels", "videos", "words.vec", out))
    filter_labels(*places, DATASET, options, workers)


def run_stage(dataset, categories=("pushing-*",), **options):
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree["filter"]["categories"] = list(categories)
    (dataset / "params.yaml").write_text(yaml.safe_dump(tree))
    given = {"labels": "labels", "videos": "videos", "out": "out", **options}
    command = [
        sys.executable,
        "-m",
        "stages.filter_labels",
        *(part for k, v in given.items() for part in (f"--{k}", v)),
    ]
    return subprocess.run(command, cwd=dataset, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)


def test_the_report_accounts_for_every_row_and_split(dataset):
    choose(dataset)
    clips = read_table(dataset / "out" / "clips.parquet", Clip)
    drops = read_table(dataset / "out" / "dropped/dropped.parquet", Drop)
    report = json.loads((dataset / "out" / "report.json").read_text())
    assert (report["read"], report["kept"]) == (250, len(clips))
    assert report["dropped"] == {"empty_video": 1, "missing_video": 1, "other_category": 83}
    assert len(clips) + len(drops) == 250
    assert report["splits"] == {split: sum(clip.split == split for clip in clips) for split in SPLITS}
    assert sum(report["objects"].values()) == len(clips)
    assert sum(sum(counts.values()) for counts in report["categories"].values()) == len(clips)
    assert {clip.objects for clip in clips if clip.split == "test_words"} == {("mug",)}
    official = {item["id"] for item in json.loads((dataset / "labels" / "validation.json").read_text())}
    for clip in clips:
        if clip.split in ("train", "judge", "val", "test"):
            assert (clip.split in ("val", "test")) == (clip.id in official)


def test_equal_inputs_give_equal_bytes_whatever_the_workers(dataset):
    for name, workers in (("one", 1), ("four", 4)):
        choose(dataset, name, workers=workers)
    for file in ("clips.parquet", "dropped/dropped.parquet", "report.json"):
        assert (dataset / "one" / file).read_bytes() == (dataset / "four" / file).read_bytes()


def test_the_command_writes_its_files_and_says_how_many_clips(dataset):
    done = run_stage(dataset)
    assert (done.returncode, done.stderr) == (0, "")
    assert "250 rows read, 165 clips kept" in done.stdout
    first = "83 other_category (102: moving-something-up), 1 missing_video (1: no 1.webm, nor with "
    assert f"filter: dropped: {first}" in done.stdout
    assert "1 empty_video (2: 2.webm holds no bytes); all are in out/dropped/dropped.parquet" in done.stdout
    assert list_files(dataset / "out") == [
        "clips.parquet",
        "directions.json",
        "dropped/dropped.parquet",
        "report.json",
    ]


def test_videos_in_a_folder_below_are_pointed_out_where_none_is_left(dataset):
    done = run_stage(dataset, videos=".")
    assert done.returncode == 1
    told = re.search(r"There is (videos/\d+\.webm): set dataset\.videos to videos, or", done.stderr)
    assert told
    (dataset / "copies").mkdir()
    shutil.copy(dataset / told[1], dataset / "copies")
    assert f"There is {told[1].replace('videos', 'copies')}; all reasons" in run_stage(dataset, videos=".").stderr


def test_the_command_confines_what_reads_labels_and_vectors_as_params_say(dataset, monkeypatch):
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    (dataset / "params.yaml").write_text(yaml.safe_dump({**tree, "compute": tree["compute"] | {"sandbox": "require"}}))
    given = []
    monkeypatch.setattr(stage, "filter_labels", lambda *arguments: given.append(arguments[-1]))
    monkeypatch.chdir(dataset)
    stage.main()
    assert given == ["require"]


def test_the_words_nearest_to_others_are_held_out_by_a_file_of_vectors(dataset):
    near = filtering(categories=["pushing-*"], test_words=0.2, test_words_by="near")
    (dataset / "words.vec").write_text("box 1 0 0\nmug 0 1 0.2\nbook 9 8 7 6\ncup 0 1 0\npen 1 0 1\n")
    choose(dataset, options=near)
    assert json.loads((dataset / "out" / "report.json").read_text())["test_words"] == ["cup"]
    assert {c.split for c in read_table(dataset / "out" / "clips.parquet", Clip) if c.objects == ("cup",)} == {
        "test_words"
    }
    (dataset / "words.vec").write_text("what is this\n")
    with pytest.raises(UserError, match=r"filter\.word_vectors.*words\.vec: line 1 on: no rows of a word"):
        choose(dataset, options=near)


def break_json(dataset):
    (dataset / "labels" / "train.json").write_text('[{"id":')


def repeat_an_id(dataset):
    write_labels(dataset / "labels" / "train.json", [row("5"), row("5")])


def lose_a_field(dataset):
    write_labels(dataset / "labels" / "train.json", [{"id": "5", "label": "pushing"}])


def lose_labels(dataset):
    shutil.rmtree(dataset / "labels")


def lose_videos(dataset):
    shutil.rmtree(dataset / "videos")


def empty_videos(dataset):
    for path in (dataset / "videos").iterdir():
        path.write_bytes(b"")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (break_json, "labels/train.json: not JSON"),
        (repeat_an_id, "the id '5' occurs twice"),
        (lose_a_field, "labels/train.json: entry 1 lacks 'template'"),
        (lose_labels, "labels: no such labels"),
        (lose_videos, "videos: no such folder of videos"),
    ],
)
def test_bad_input_ends_with_one_message_and_leaves_what_was_made_before(dataset, harm, message):
    choose(dataset)
    before = {name: (dataset / "out" / name).read_bytes() for name in list_files(dataset / "out")}
    harm(dataset)
    done = run_stage(dataset)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and message in done.stderr and "Traceback" not in done.stderr
    assert {name: (dataset / "out" / name).read_bytes() for name in list_files(dataset / "out")} == before


def test_an_unknown_category_ends_with_the_nearest_names(dataset):
    done = run_stage(dataset, categories=["pushing-something-form-left-to-right"])
    assert done.returncode == 1
    assert "pushing-something-from-left-to-right (84 clips)" in done.stderr


def test_when_nothing_is_left_the_drops_are_written_and_the_first_is_told(dataset):
    choose(dataset)
    empty_videos(dataset)
    done = run_stage(dataset)
    assert done.returncode == 1
    assert "none of 250 rows is left: 166 empty_video, 1 missing_video, 83 other_category" in done.stderr
    assert "The first, entry 1 of train.json, is dropped as missing_video: no 1.webm, nor with .mp4" in done.stderr
    assert "all reasons are in out/dropped/dropped.parquet" in done.stderr and "Traceback" not in done.stderr
    assert list_files(dataset / "out") == ["dropped/dropped.parquet", "report.json"]
    drops = read_table(dataset / "out" / "dropped/dropped.parquet", Drop)
    report = json.loads((dataset / "out" / "report.json").read_text())
    assert len(drops) == report["read"] == 250 and report["kept"] == 0
    assert report["dropped"] == {"empty_video": 166, "missing_video": 1, "other_category": 83}


def test_rows_that_all_lack_a_category_are_written_as_drops(dataset):
    listed = [{**row("5"), "template": ""}, {**row("6"), "template": "[]"}]
    shutil.rmtree(dataset / "labels")
    write_labels(dataset / "labels" / "train.json", listed)
    with pytest.raises(
        UserError, match=r"no row has a usable template\. The first, entry 1 of train\.json, is dropped as"
    ):
        choose(dataset)
    assert [d.reason for d in read_table(dataset / "out" / "dropped/dropped.parquet", Drop)] == ["unusable_label"] * 2
