"""Clips that are no files, from the labels to the shards."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clip_sets import transcode
from pictures import draw_picture, number_names, read_folder_as_members, write_pictures, write_tar, write_zip
from settings import filtering, reading
from videos import draw

from pipeline.errors import UserError
from pipeline.params import ShareParams
from pipeline.records import Clip, Drop
from pipeline.shards import ShardReader
from pipeline.tables import read_table
from stages.filter_labels import filter_labels

EVERYTHING = filtering(categories=["*"], shares=ShareParams(train=1.0, judge=0.0, val=0.0, test=0.0))


def choose(dataset, rows, **columns):
    """Run `filter` on rows of path and caption, and perhaps of start and end; the clips and the drops."""
    header = ["path", "caption", *columns]
    (dataset / "labels.csv").write_text("\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n")
    params = reading("table", dataset / "labels.csv", **columns)
    labels = dataset / "labels"
    filter_labels(dataset / "labels.csv", dataset / "videos", dataset / "none.vec", labels, params, EVERYTHING, 2)
    drops = read_table(next(labels.glob("**/dropped.parquet")), Drop)
    return read_table(labels / "clips.parquet", Clip), {drop.id: drop for drop in drops}


def read_shards(folder):
    reader = ShardReader(folder)
    return {caption: reader.frames([row])[0] for row, caption in enumerate(reader.captions)}


@pytest.fixture
def dataset(tmp_path):
    """One video and one clip of pictures, each as it is and in every kind of container."""
    top = tmp_path / "videos"
    top.mkdir()
    video = draw(top / "a.mp4", shape="64x48", frames=24).read_bytes()
    write_pictures(top / "set/clip", number_names(20))
    members = {**read_folder_as_members(top / "set"), "a.mp4": video}
    write_tar(top / "plain.tar", members)
    write_tar(top / "packed.tar.gz", members, "w:gz")
    write_zip(top / "x.zip", members)
    cells = [{"bytes": video, "path": "a.mp4"}, {"bytes": b"no video", "path": "b.mp4"}]
    pq.write_table(pa.table({"video": cells}), top / "x.parquet")
    return tmp_path


CONTAINERS = ("plain.tar", "packed.tar.gz", "x.zip")


@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
def test_a_clip_is_the_same_wherever_it_lies(dataset, decoder):
    rows = [["a.mp4", "video"], ["set/clip", "pictures"], ["x.parquet/video/0", "cell"], ["x.parquet/video/1", "bad"]]
    rows += [[f"{name}/{path}", f"{name} {path}"] for name in CONTAINERS for path in ("a.mp4", "clip")]
    clips, drops = choose(dataset, rows)
    assert (len(clips), drops) == (10, {})
    digests = {clip.caption: clip.digest for clip in clips}
    for name in CONTAINERS:
        assert digests[f"{name} a.mp4"] == digests["video"] == digests["cell"]
        assert digests[f"{name} clip"] == digests["pictures"]
    transcode(dataset, dataset / "out", decoder=decoder)
    shown = read_shards(dataset / "out")
    assert len(shown) == 9
    for name in CONTAINERS:
        np.testing.assert_array_equal(shown[f"{name} a.mp4"], shown["video"])
        np.testing.assert_array_equal(shown[f"{name} clip"], shown["pictures"])
    np.testing.assert_array_equal(shown["cell"], shown["video"])
    (dropped,) = read_table(next((dataset / "out").glob("**/dropped.parquet")), Drop)
    assert (dropped.id, dropped.reason) == ("x.parquet+video+1", "undecodable")


def test_parts_of_members_and_of_pictures_are_cut(dataset):
    rows = [[path, path, "0.5", "1.5"] for path in ("a.mp4", "plain.tar/a.mp4", "set/clip", "x.zip/clip")]
    choose(dataset, rows, start="start", end="end")
    transcode(dataset, dataset / "out", picture_rate=12.0)
    shown = read_shards(dataset / "out")
    np.testing.assert_array_equal(shown["plain.tar/a.mp4"], shown["a.mp4"])
    np.testing.assert_array_equal(shown["x.zip/clip"], shown["set/clip"])
    first = np.asarray(draw_picture(6).resize((16, 16)).convert("RGB"))  # shown from half a second on
    assert np.abs(shown["set/clip"][0].astype(int).mean((0, 1)) - first.mean((0, 1))).max() < 8


def test_without_a_rate_parts_of_pictures_are_dropped_with_the_way_out(dataset):
    choose(dataset, [["set/clip", "one", "0", "1"], ["a.mp4", "two", "0", "1"]], start="start", end="end")
    transcode(dataset, dataset / "out")
    (dropped,) = read_table(next((dataset / "out").glob("**/dropped.parquet")), Drop)
    assert dropped.detail == "pictures have no frame rate of their own; set transcode.picture_rate"


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("set/clip", lambda top: (top / "set/clip/00007.jpg").rename(top / "set/clip/00027.jpg")),
        ("set/clip", lambda top: (top / "set/clip/00001.jpg").write_bytes(b"shorter")),
        ("plain.tar/a.mp4", lambda top: write_tar(top / "plain.tar", {"a.mp4": b"another"})),
        ("x.zip/clip", lambda top: (top / "x.zip").unlink()),
        ("x.parquet/video/0", lambda top: pq.write_table(pa.table({"video": [b"another"]}), top / "x.parquet")),
    ],
)
def test_what_has_changed_since_filter_is_refused(dataset, path, change):
    choose(dataset, [[path, "one"]])
    change(dataset / "videos")
    with pytest.raises(UserError, match="no longer the file that `filter` chose"):
        transcode(dataset, dataset / "out")


def test_other_numbers_of_workers_give_the_same_bytes(dataset):
    rows = [[f"{name}/{path}", f"{name} {path}"] for name in CONTAINERS for path in ("a.mp4", "clip")]
    choose(dataset, rows)
    one = transcode(dataset, dataset / "out", shard_clips=2)
    assert transcode(dataset, dataset / "again", workers=2, shard_clips=2) == one


def test_what_of_archives_cannot_be_read_is_dropped(dataset):
    top = dataset / "videos"
    content = bytearray((top / "x.zip").read_bytes())
    content[content.index(b"a.mp4") + 200] ^= 1
    (top / "x.zip").write_bytes(content)
    (top / "cut.tar").write_bytes((top / "plain.tar").read_bytes()[:5000])
    rows = [[f"{name}/a.mp4", name] for name in ("x.zip", "cut.tar", "plain.tar")]
    clips, drops = choose(dataset, rows)
    assert [clip.video for clip in clips] == ["plain.tar/a.mp4"]
    assert {drop.reason for drop in drops.values()} == {"unusable_video"}
    assert "x.zip: a.mp4 is damaged" in drops["x.zip+a.mp4"].detail
    assert "cut.tar is cut off" in drops["cut.tar+a.mp4"].detail
