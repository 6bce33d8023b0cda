import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bad_videos import make_bad_shard
from clip_sets import OPTIONS, SHAPE, clip_of, draw_dataset, transcode, within, write_clips
from settings import shape_of
from videos import draw

from pipeline.errors import UserError
from pipeline.params import LimitParams
from pipeline.records import Clip, Drop
from pipeline.shards import ShardReader
from pipeline.tables import read_table, write_table
from pipeline.video.decode import decode_video


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Nine videos, one of them short, and one that is text: a folder with `videos` and `labels`."""
    return draw_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture
def bad_videos(tmp_path, monkeypatch):
    """A folder for videos that are decoded by their names: hang, crash, hog, else two windows of one colour."""
    (tmp_path / "videos").mkdir()
    monkeypatch.setattr("stages.transcode_clips.make_shard", make_bad_shard)

    def write(*names):
        for length, name in enumerate(names, start=1):
            (tmp_path / "videos" / name).write_bytes(bytes(length))
        write_clips(tmp_path, [clip_of(tmp_path / "videos" / name) for name in names])
        return tmp_path

    return write


@pytest.fixture(scope="module")
def large_videos(tmp_path_factory):
    """Two videos with 50 MB a frame between two small ones, each for another way of reading."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "videos").mkdir()
    for name in ("a.mkv", "d.mkv"):
        draw(folder / "videos" / name, shape="64x48", frames=8, vcodec="ffv1")
    draw(folder / "videos" / "b.webm", shape="7680x4320", frames=2, vcodec="libvpx", deadline="realtime")
    draw(folder / "videos" / "c.mp4", shape="7680x4320", frames=2, vcodec="mjpeg")
    write_clips(folder, [clip_of(path) for path in (folder / "videos").iterdir()])
    return folder


def limited(**values):
    return LimitParams(**{**OPTIONS.limits.model_dump(), **values})


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
    drops = read_table(tmp_path / "out" / "dropped.parquet", Drop)
    assert [(drop.id, drop.reason) for drop in drops] == [("1", "undecodable"), ("8", "too_short")]
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == {
        "read": 10,
        "kept": 8,
        "dropped": {"too_short": 1, "undecodable": 1},
        "rows": 8,
        "frames_per_video": {"min": 8, "median": 24, "max": 40},
    }


def test_short_clips_are_kept_on_request(dataset, tmp_path):
    transcode(dataset, tmp_path / "out", short_clips="repeat_last")
    assert "8" in ShardReader(tmp_path / "out").ids


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


def test_nothing_of_an_earlier_run_is_left(dataset, tmp_path):
    assert "clips-00009.parquet" in transcode(dataset, tmp_path / "out", shard_clips=1)
    for name in ("clips-00001", "dropped", "report"):
        (tmp_path / "out" / f".{name}.4711.parquet").write_text("half")  # killed while it wrote
    assert transcode(dataset, tmp_path / "out") == transcode(dataset, tmp_path / "anew")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_video_that_changed_after_filtering_stops_the_stage(dataset, tmp_path, workers):
    clips = read_table(dataset / "labels" / "clips.parquet", Clip)
    clips[3] = replace(clips[3], digest="0" * 64)
    write_clips(tmp_path, clips)
    (tmp_path / "videos").symlink_to(dataset / "videos")
    with pytest.raises(UserError, match=rf"{clips[3].video}: not the file .* `dvc repro -f filter`"):
        transcode(tmp_path, tmp_path / "out", workers)
    assert not (tmp_path / "out").exists()


def test_a_video_that_went_away_stops_the_stage(dataset, tmp_path):
    clips = read_table(dataset / "labels" / "clips.parquet", Clip)
    write_clips(tmp_path, [replace(clip, video="gone.mkv") for clip in clips])
    with pytest.raises(UserError, match=r"gone\.mkv: not the file"):
        transcode(tmp_path, tmp_path / "out")


def test_clips_out_of_order_are_refused(dataset, tmp_path):
    clips = read_table(dataset / "labels" / "clips.parquet", Clip)
    write_table(tmp_path / "labels" / "clips.parquet", Clip, clips[::-1])
    (tmp_path / "videos").symlink_to(dataset / "videos")
    with pytest.raises(UserError, match=r"clips\.parquet: clip '8' after '9', so not sorted"):
        transcode(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_video_that_hangs_or_kills_its_decoder_costs_itself_alone(bad_videos, tmp_path, workers):
    dataset = bad_videos(*(f"{name}.mkv" for name in ("a", "b-hang", "c", "d-crash", "e", "f-hog", "g", "h")))
    limits = limited(seconds=3.0, memory_bytes=300_000_000)
    transcode(dataset, tmp_path / "out", workers, limits=limits)
    assert ShardReader(tmp_path / "out").ids == [name for name in "acegh" for _ in range(2)]
    drops = [(drop.id, drop.reason, drop.detail) for drop in read_table(tmp_path / "out" / "dropped.parquet", Drop)]
    assert drops == [
        ("b-hang", "decoder_hung", "not done after 3 seconds; see transcode.limits.seconds"),
        ("d-crash", "decoder_died", "the process died of SIGSEGV, 2 times"),
        ("f-hog", "decoder_died", "needs more than 300000000 bytes of memory; see transcode.limits.memory_bytes"),
    ]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["read"], report["kept"], report["rows"]) == (8, 5, 10)


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
def test_a_video_that_needs_more_memory_than_allowed_costs_itself_alone(large_videos, tmp_path, decoder):
    options = {"decoder": decoder, "short_clips": "repeat_last"}
    transcode(large_videos, tmp_path / "out", limits=limited(memory_bytes=25_000_000), **options)
    assert ShardReader(tmp_path / "out").ids == ["a", "d"]
    drops = read_table(tmp_path / "out" / "dropped.parquet", Drop)
    # What ran out of memory is told by the library; a program only ends.
    expected = {"in_process": ("decoder_died", "needs more than 25000000 bytes"), "ffmpeg": ("undecodable", "")}
    assert [(drop.id, drop.reason) for drop in drops] == [(name, expected[decoder][0]) for name in "bc"]
    assert all(drop.detail.startswith(expected[decoder][1]) for drop in drops)
    transcode(large_videos, tmp_path / "out", **options)
    assert ShardReader(tmp_path / "out").ids == ["a", "b", "c", "d"]


def test_every_window_is_a_row_and_a_mirrored_clip_is_flipped(bad_videos, tmp_path):
    dataset = bad_videos("5.mkv", "50.mkv")
    five, fifty = read_table(dataset / "labels" / "clips.parquet", Clip)
    write_clips(dataset, [five, replace(five, id="5-mirrored", caption="other way", mirrored=True), fifty])
    transcode(dataset, tmp_path / "out")
    reader = ShardReader(tmp_path / "out")
    assert reader.ids == ["5", "5", "5-mirrored", "5-mirrored", "50", "50"]
    assert reader.captions[2:4] == ["other way", "other way"]
    frames = reader.frames(range(6))
    assert frames[0, 0, 0, 0, 0] == 1  # the length of 5.mkv, in the left half
    assert np.array_equal(frames[1], frames[0] + 1)
    assert np.array_equal(frames[2:4], frames[:2, :, :, ::-1])
    assert not np.array_equal(frames[2:4], frames[:2])


def test_no_clip_left_is_told_with_the_counts_by_reason(dataset, tmp_path):
    shape = shape_of(100, 16, 16)
    with pytest.raises(UserError, match=r"none of the 10 chosen clips is left \(too_short: 9, undecodable: 1\)"):
        transcode(dataset, tmp_path / "out", shape=shape)
    assert not (tmp_path / "out" / "index.json").exists()


def test_the_stage_does_not_load_torch():
    check = "import sys, stages.transcode_clips; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=Path(__file__).parents[1]).returncode == 0


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
