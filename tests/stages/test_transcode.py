import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from clip_sets import OPTIONS, SHAPE, draw_dataset, transcode, write_clips
from locations import ROOT
from settings import clip_shape
from waiting import within

from pipeline.errors import UserError
from pipeline.records import Clip, Drop
from pipeline.shards import ShardReader
from pipeline.tables import read_table, write_table
from pipeline.video.decode import decode_video


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Nine videos, one of them short, and one that is text: a folder with `videos` and `labels`."""
    return draw_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.mark.slow
def test_clips_stand_in_the_order_of_their_ids_with_their_frames(dataset, tmp_path):
    transcode(dataset, tmp_path / "out")
    reader = ShardReader(tmp_path / "out")
    assert reader.ids == ["10", "30", "31", "4", "5", "6", "7", "9"]
    assert reader.captions[2] == "pushing 31 up"
    for row, name in enumerate(reader.ids):
        expected = decode_video(dataset / "videos" / f"{name}.mkv", SHAPE, OPTIONS, name).clips[0]
        assert np.array_equal(reader.frames([row])[0], expected)


def test_every_clip_left_out_has_its_reason_and_the_sums_are_right(dataset, tmp_path):
    transcode(dataset, tmp_path / "out")
    drops = read_table(tmp_path / "out" / "dropped/dropped.parquet", Drop)
    assert [(drop.id, drop.reason) for drop in drops] == [("1", "undecodable"), ("8", "too_short")]
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == {
        "read": 10,
        "kept": 8,
        "dropped": {"too_short": 1, "undecodable": 1},
        "rows": 8,
        "frames_per_video": {"min": 8, "median": 24, "max": 40},
        "near_duplicates_of_train": {},
    }


def test_short_clips_are_kept_on_request(dataset, tmp_path):
    transcode(dataset, tmp_path / "out", short_clips="repeat_last")
    assert "8" in ShardReader(tmp_path / "out").ids


@pytest.mark.slow
@pytest.mark.parametrize("shard_format", ["parquet", "npz"])
def test_bytes_do_not_depend_on_the_number_of_workers(dataset, tmp_path, shard_format):
    alone, together = (
        transcode(dataset, tmp_path / str(workers), workers, shard_format=shard_format) for workers in (1, 2)
    )
    assert alone == together
    assert sum(name.startswith("clips-") for name in alone) == 3


def test_both_formats_hold_the_same_clips(dataset, tmp_path):
    for shard_format in ("parquet", "npz"):
        transcode(dataset, tmp_path / shard_format, shard_format=shard_format)
    one, other = ShardReader(tmp_path / "parquet"), ShardReader(tmp_path / "npz")
    assert (one.ids, one.captions) == (other.ids, other.captions)
    assert np.array_equal(one.frames(range(8)), other.frames(range(8)))


@pytest.mark.slow
def test_nothing_of_an_earlier_run_is_left(dataset, tmp_path):
    assert "clips-00009.parquet" in transcode(dataset, tmp_path / "out", shard_clips=1)
    for name in (".clips-00001", "dropped/.dropped", ".report"):
        (tmp_path / "out" / f"{name}.4711.parquet").write_text("half")  # killed while it wrote
    assert transcode(dataset, tmp_path / "out") == transcode(dataset, tmp_path / "anew")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_video_that_changed_after_filtering_stops_the_stage(dataset, tmp_path, workers):
    clips = read_table(dataset / "labels" / "clips.parquet", Clip)
    clips[3] = replace(clips[3], digest="0" * 64)
    write_clips(tmp_path, clips)
    (tmp_path / "videos").symlink_to(dataset / "videos")
    with pytest.raises(UserError, match=rf"{clips[3].video}: no longer the file .* `dvc repro -f filter`"):
        transcode(tmp_path, tmp_path / "out", workers)
    assert not (tmp_path / "out").exists()


def test_a_video_that_went_away_stops_the_stage(dataset, tmp_path):
    clips = read_table(dataset / "labels" / "clips.parquet", Clip)
    write_clips(tmp_path, [replace(clip, video="gone.mkv") for clip in clips])
    with pytest.raises(UserError, match=r"gone\.mkv: no longer the file"):
        transcode(tmp_path, tmp_path / "out")


def test_clips_out_of_order_are_refused(dataset, tmp_path):
    clips = read_table(dataset / "labels" / "clips.parquet", Clip)
    write_table(tmp_path / "labels" / "clips.parquet", Clip, clips[::-1])
    (tmp_path / "videos").symlink_to(dataset / "videos")
    with pytest.raises(UserError, match=r"clips\.parquet: clip '8' after '9', so not sorted"):
        transcode(tmp_path, tmp_path / "out")


def test_no_clip_left_is_told_with_the_counts_by_reason(dataset, tmp_path):
    shape = clip_shape(100, 16, 16)
    with pytest.raises(UserError, match=r"none of the 10 chosen clips is left \(too_short: 9, undecodable: 1\)"):
        transcode(dataset, tmp_path / "out", shape=shape)
    assert not (tmp_path / "out" / "index.json").exists()


def test_what_is_left_out_is_told_with_the_first_of_each_reason(dataset, tmp_path, capsys):
    transcode(dataset, tmp_path / "out")
    told = capsys.readouterr().out
    assert re.search(r"transcode: dropped: 1 undecodable \(\w+: .+\); all are in .*dropped\.parquet", told)


def test_the_stage_does_not_load_torch():
    check = "import sys, stages.transcode_clips; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT).returncode == 0


@pytest.mark.slow
def test_ctrl_c_ends_the_stage_with_75_and_the_next_run_is_whole(dataset, tmp_path, root, tree):
    tree["transcode"]["shard_clips"] = 1
    (tmp_path / "params.yaml").write_text(json.dumps(tree))
    clips = read_table(dataset / "labels" / "clips.parquet", Clip)
    write_clips(tmp_path, [replace(clip, id=f"{copy}-{clip.id}") for copy in range(30) for clip in clips])
    paths = ["--videos", dataset / "videos", "--labels", "labels", "--out", "out"]
    command = [sys.executable, "-m", "stages.transcode_clips", *paths]
    environment = {**os.environ, "PYTHONPATH": str(root), "DVC_ROOT": str(tmp_path)}
    options = {"cwd": tmp_path, "env": environment, "stderr": subprocess.PIPE, "text": True}
    stage = subprocess.Popen(command, start_new_session=True, **options)
    assert within(60, lambda: any(tmp_path.glob(".dvc/tmp/state/transcode-*/clips-*.json")))
    os.killpg(stage.pid, signal.SIGINT)
    message = stage.communicate(timeout=20)[1]
    assert stage.returncode == 75, message
    assert "Traceback" not in message
    assert not (tmp_path / "out").exists()
    subprocess.run(command, check=True, **options)
    assert len(ShardReader(tmp_path / "out")) == 180  # of ten, one is text and three are shorter than 16 frames
