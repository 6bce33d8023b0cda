import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from settings import shape_of, transcoding
from videos import draw

from pipeline.errors import UserError
from pipeline.files import digest_file
from pipeline.records import Clip, Drop
from pipeline.shards import ShardReader
from pipeline.tables import read_table, write_table
from pipeline.video.decode import decode_video
from stages.transcode_clips import transcode_clips

SHAPE = shape_of(8, 16, 16)
OPTIONS = transcoding(short_clips="drop", shard_format="parquet", shard_clips=4)
LENGTHS = {"7": 24, "10": 30, "9": 8, "8": 7, "31": 12, "30": 40, "5": 24, "6": 25, "4": 26}  # 8 is short


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Nine videos, one of them short, and one that is text: a folder with `videos` and `labels`."""
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "videos").mkdir()
    for name, frames in LENGTHS.items():
        draw(folder / "videos" / f"{name}.mkv", shape="64x48", frames=frames, vf=f"hue=h={name}0", vcodec="ffv1")
    (folder / "videos" / "1.mkv").write_text("no video")
    clips = [clip_of(folder / "videos" / f"{name}.mkv") for name in [*LENGTHS, "1"]]
    write_table(folder / "labels" / "clips.parquet", Clip, clips)
    return folder


def clip_of(path):
    return Clip(
        id=path.stem,
        caption=f"pushing {path.stem} up",
        category="pushing-something-up",
        template="Pushing [something] up",
        objects=(path.stem,),
        split="train",
        video=path.name,
        digest=digest_file(path),
        mirrored=False,
    )


def transcode(dataset, out, workers=1, shape=SHAPE, **options):
    options = OPTIONS.model_copy(update=options)
    transcode_clips(dataset / "labels", dataset / "videos", out, shape, options, workers)
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_clips_stand_in_the_order_of_their_ids_with_their_frames(dataset, tmp_path):
    transcode(dataset, tmp_path)
    reader = ShardReader(tmp_path)
    assert reader.ids == ["10", "30", "31", "4", "5", "6", "7", "9"]
    assert reader.captions[2] == "pushing 31 up"
    for row, name in enumerate(reader.ids):
        expected = decode_video(dataset / "videos" / f"{name}.mkv", SHAPE, OPTIONS, name).clips[0]
        assert np.array_equal(reader.frames([row])[0], expected)


def test_every_clip_left_out_has_its_reason_and_the_sums_are_right(dataset, tmp_path):
    transcode(dataset, tmp_path)
    drops = read_table(tmp_path / "dropped.parquet", Drop)
    assert [(drop.id, drop.reason) for drop in drops] == [("1", "undecodable"), ("8", "too_short")]
    assert json.loads((tmp_path / "report.json").read_text()) == {
        "read": 10,
        "kept": 8,
        "dropped": {"too_short": 1, "undecodable": 1},
        "frames_per_video": {"min": 8, "median": 24, "max": 40},
    }


def test_short_clips_are_kept_on_request(dataset, tmp_path):
    transcode(dataset, tmp_path, short_clips="repeat_last")
    assert "8" in ShardReader(tmp_path).ids


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
    assert "clips-00009.parquet" in transcode(dataset, tmp_path, shard_clips=1)
    assert "clips-00009.parquet" not in transcode(dataset, tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_video_that_changed_after_filtering_stops_the_stage(dataset, tmp_path, workers):
    clips = read_table(dataset / "labels" / "clips.parquet", Clip)
    clips[3] = replace(clips[3], digest="0" * 64)
    write_table(tmp_path / "labels" / "clips.parquet", Clip, clips)
    with pytest.raises(UserError, match=rf"{clips[3].video}: not the file .* `dvc repro -f filter`"):
        transcode_clips(tmp_path / "labels", dataset / "videos", tmp_path / "out", SHAPE, OPTIONS, workers)
    assert not (tmp_path / "out" / "index.json").exists()


def test_a_video_that_went_away_stops_the_stage(dataset, tmp_path):
    clips = [replace(clip, video="gone.mkv") for clip in read_table(dataset / "labels" / "clips.parquet", Clip)]
    write_table(tmp_path / "labels" / "clips.parquet", Clip, clips)
    with pytest.raises(UserError, match=r"gone\.mkv: not the file"):
        transcode_clips(tmp_path / "labels", dataset / "videos", tmp_path / "out", SHAPE, OPTIONS, 1)


def test_no_clip_left_is_told_with_the_counts_by_reason(dataset, tmp_path):
    shape = shape_of(100, 16, 16)
    with pytest.raises(UserError, match=r"none of the 10 chosen clips is left \(too_short: 9, undecodable: 1\)"):
        transcode(dataset, tmp_path, shape=shape)
    assert not (tmp_path / "index.json").exists()


def test_the_stage_does_not_load_torch():
    check = "import sys, stages.transcode_clips; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=Path(__file__).parents[1]).returncode == 0


def test_ctrl_c_ends_the_stage_with_75_and_the_next_run_is_whole(dataset, tmp_path, root, tree):
    tree["transcode"]["shard_clips"] = 1
    (tmp_path / "params.yaml").write_text(json.dumps(tree))
    clips = read_table(dataset / "labels" / "clips.parquet", Clip)
    many = [replace(clip, id=f"{copy}-{clip.id}") for copy in range(30) for clip in clips]
    write_table(tmp_path / "labels" / "clips.parquet", Clip, many)
    paths = ["--videos", dataset / "videos", "--labels", "labels", "--out", "out"]
    command = [sys.executable, "-m", "stages.transcode_clips", *paths]
    options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(root)}, "stderr": subprocess.PIPE, "text": True}
    stage = subprocess.Popen(command, start_new_session=True, **options)
    end = time.monotonic() + 20
    while not list(tmp_path.glob("out/clips-*")) and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(stage.pid, signal.SIGINT)
    message = stage.communicate(timeout=20)[1]
    assert stage.returncode == 75, message
    assert "Traceback" not in message
    assert not (tmp_path / "out" / "index.json").exists()
    subprocess.run(command, check=True, **options)
    assert len(ShardReader(tmp_path / "out")) == 180  # of ten, one is text and three are shorter than 16 frames
