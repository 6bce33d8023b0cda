"""Published sets whose rows are parts of videos, from the files of their authors to the shards."""

import json

import ffmpeg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from clip_sets import transcode
from set_labels import section
from settings import filtering

from pipeline.params import ShareParams
from pipeline.records import Drop
from pipeline.shards import ShardReader
from pipeline.tables import read_table
from pipeline.video.ffmpeg import run
from stages.filter_labels import filter_labels

EVERYTHING = filtering(categories=["*"], shares=ShareParams(train=1.0, judge=0.0, val=0.0, test=0.0))


def draw_clock(path, frames, rate):
    """A video whose frame number k is grey of level k."""
    path.parent.mkdir(parents=True)
    drawing = ffmpeg.input(f"color=black:s=64x64:r={rate},format=gray,geq=lum=N", f="lavfi")
    run(drawing.output(str(path), **{"frames:v": frames, "vcodec": "libx264", "qp": 0, "g": 25}), seconds=60)


def run_stages(root, kind, labels, videos):
    """Id of a clip -> the levels of the first and the last of 8 frames; and the drops of both stages."""
    dataset = section(kind, labels).model_copy(update={"videos": str(videos)})
    (root / "videos").exists() or (root / "videos").symlink_to(videos)
    filter_labels(labels, videos, root / "none.vec", root / "labels", dataset, EVERYTHING, 1)
    transcode(root, root / "out")
    reader = ShardReader(root / "out")
    levels = {name: reader.frames([row])[0].mean((1, 2, 3)) for row, name in enumerate(reader.ids)}
    drops = [drop for path in sorted(root.glob("**/dropped.parquet")) for drop in read_table(path, Drop)]
    return levels, {drop.id: drop.reason for drop in drops}


def test_episodes_of_one_file_show_their_own_frames(tmp_path):
    root, lengths = tmp_path / "set", (37, 24, 50)
    draw_clock(root / "videos/image/chunk-000/file-000.mp4", sum(lengths), 30)
    starts = np.cumsum([0, *lengths[:-1]])
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    info = {
        "codebase_version": "v3.0",
        "fps": 30,
        "splits": {"train": "0:3"},
        "features": {"image": {"dtype": "video"}},
    }
    path = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    (root / "meta/info.json").write_text(json.dumps(info | {"video_path": path}))
    table = {
        "episode_index": [0, 1, 2],
        "length": [*lengths],
        "tasks": [["Pick it"]] * 3,
        "videos/image/chunk_index": [0] * 3,
        "videos/image/file_index": [0] * 3,
        "videos/image/from_timestamp": [start / 30 for start in starts],
    }
    pq.write_table(pa.table(table), root / "meta/episodes/chunk-000/file-000.parquet")
    levels, drops = run_stages(tmp_path, "lerobot", root / "meta", root)
    assert drops == {}
    # Over the whole of an episode, frame k of 8 is in the middle of its eighth.
    for number, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        wanted = [start + int((2 * k + 1) * length / 16) for k in range(8)]
        np.testing.assert_allclose(levels[f"episode_{number:06d}"], wanted, atol=1.01)


def test_activitynet_in_its_own_files_is_cut_by_time(tmp_path):
    draw_clock(tmp_path / "films/v1-3/train/v_aaaaaaaaaaa.mp4", 200, 10)
    parts = [[2.0, 6.0], [12, 20.5], [19.5, 30], [21, 22], [3, 3]]
    annotations = [{"segment": part, "label": f"Act {number}"} for number, part in enumerate(parts)]
    video = {"subset": "training", "duration": 20, "annotations": annotations}
    labels = tmp_path / "anet.json"
    labels.write_text(json.dumps({"database": {"aaaaaaaaaaa": video, "bbbbbbbbbbb": {**video, "annotations": []}}}))
    levels, drops = run_stages(tmp_path, "auto", labels, tmp_path / "films")
    name = "v_aaaaaaaaaaa"
    assert drops == {
        "v_bbbbbbbbbbb": "unusable_segment",
        name: "unusable_segment",
        f"{name}@00021.000-00022.000": "outside_video",
        f"{name}@00019.500-00030.000": "too_short",
    }
    assert sorted(levels) == [f"{name}@00002.000-00006.000", f"{name}@00012.000-00020.500"]
    np.testing.assert_allclose(levels[f"{name}@00002.000-00006.000"], 22.5 + 5 * np.arange(8), atol=1.01)
    np.testing.assert_allclose(levels[f"{name}@00012.000-00020.500"], 125 + 10 * np.arange(8), atol=1.01)
