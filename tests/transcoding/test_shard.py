"""What a shard holds where videos hang, crash, take too much memory, give several windows or are mirrored."""

import json
from dataclasses import replace

import numpy as np
import pytest
from bad_videos import BadShardMaker
from clip_sets import OPTIONS, choose_clip, transcode, write_clips
from videos import draw

from pipeline.params import LimitParams
from pipeline.records import DROPS, Clip, Drop
from pipeline.shards import ShardReader
from pipeline.tables import read_table


@pytest.fixture
def bad_videos(tmp_path, monkeypatch):
    """A folder for videos that are decoded by their names: hang, crash, hog, else two windows of one colour."""
    (tmp_path / "videos").mkdir()
    monkeypatch.setattr("pipeline.transcoding.ShardMaker", BadShardMaker)

    def write(*names):
        for length, name in enumerate(names, start=1):
            (tmp_path / "videos" / name).write_bytes(bytes(length))
        write_clips(tmp_path, [choose_clip(tmp_path / "videos" / name) for name in names])
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
    write_clips(folder, [choose_clip(path) for path in (folder / "videos").iterdir()])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_video_that_hangs_or_kills_its_decoder_costs_itself_alone(bad_videos, tmp_path, workers):
    dataset = bad_videos(*(f"{name}.mkv" for name in ("a", "b-hang", "c", "d-crash", "e", "f-hog", "g", "h")))
    limits = limited(seconds=3.0, memory_bytes=300_000_000)
    transcode(dataset, tmp_path / "out", workers, limits=limits, windows=2)
    assert ShardReader(tmp_path / "out").ids == [name for name in "acegh" for _ in range(2)]
    drops = [(drop.id, drop.reason, drop.detail) for drop in read_table(tmp_path / "out" / DROPS, Drop)]
    assert drops == [
        ("b-hang", "decoder_hung", "not done after 3 seconds; see transcode.limits.seconds"),
        ("d-crash", "decoder_died", "the process died of SIGSEGV, 2 times"),
        ("f-hog", "decoder_died", "needs more than 300000000 bytes of memory; see transcode.limits.memory_bytes"),
    ]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["read"], report["kept"], report["rows"]) == (8, 5, 10)


@pytest.mark.slow
def test_a_video_that_needs_more_memory_than_allowed_costs_itself_alone(large_videos, tmp_path):
    transcode(large_videos, tmp_path / "out", short_clips="repeat_last", limits=limited(memory_bytes=25_000_000))
    assert ShardReader(tmp_path / "out").ids == ["a", "d"]
    detail = "needs more than 25000000 bytes of memory; see transcode.limits.memory_bytes"
    drops = [Drop(name, "decoder_died", detail) for name in "bc"]
    assert read_table(tmp_path / "out" / DROPS, Drop) == drops
    transcode(large_videos, tmp_path / "out", short_clips="repeat_last")
    assert ShardReader(tmp_path / "out").ids == ["a", "b", "c", "d"]


def test_every_window_is_a_row_and_a_mirrored_clip_is_flipped(bad_videos, tmp_path):
    dataset = bad_videos("5.mkv", "50.mkv")
    five, fifty = read_table(dataset / "labels" / "clips.parquet", Clip)
    write_clips(dataset, [five, replace(five, id="5-mirrored", caption="other way", mirrored=True), fifty])
    transcode(dataset, tmp_path / "out", windows=2)
    reader = ShardReader(tmp_path / "out")
    assert reader.ids == ["5", "5", "5-mirrored", "5-mirrored", "50", "50"]
    assert reader.captions[2:4] == ["other way", "other way"]
    frames = reader.frames(range(6))
    assert frames[0, 0, 0, 0, 0] == 1  # the length of 5.mkv, in the left half
    assert np.array_equal(frames[1], frames[0] + 1)
    assert np.array_equal(frames[2:4], frames[:2, :, :, ::-1])
    assert not np.array_equal(frames[2:4], frames[:2])


def limited(**values):
    return LimitParams(**{**OPTIONS.limits.model_dump(), **values})
