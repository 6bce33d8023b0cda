"""Rows that name parts of videos, from the labels to the shards."""

import csv
import json

import ffmpeg
import numpy as np
import pytest
from clip_sets import transcode
from settings import filtering, reading, transcoding

from pipeline.errors import UserError
from pipeline.params import DatasetParams, ShareParams
from pipeline.records import Clip, Drop
from pipeline.shards import ShardReader
from pipeline.tables import read_table
from pipeline.video.ffmpeg import run
from stages.filter_labels import filter_labels

EVERYTHING = filtering(categories=["*"], shares=ShareParams(train=1.0, judge=0.0, val=0.0, test=0.0))
RATE = 10  # frames a second; each frame is as bright as its number


def draw_clock(path, frames=240):
    """A video whose frame number k is grey of level k."""
    drawing = ffmpeg.input(f"color=black:s=64x64:r={RATE},format=gray,geq=lum=N", f="lavfi")
    run(drawing.output(str(path), **{"frames:v": frames, "vcodec": "libx264", "qp": 0, "g": 25}), seconds=60)


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "videos").mkdir()
    draw_clock(tmp_path / "videos" / "long.mp4")
    draw_clock(tmp_path / "videos" / "other.mp4", frames=60)
    return tmp_path


def choose(dataset, rows, changes=None, options=EVERYTHING, **columns):
    """Run `filter` on rows of a table; the clips and the drops by id."""
    with (dataset / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "caption", "from", "to", "film"], *rows])
    named = {"start": "from", "end": "to", **columns}
    params = reading("table", dataset / "labels.csv", **named)
    params = DatasetParams(**{**params.model_dump(), **(changes or {})})
    filter_labels(
        dataset / "labels.csv", dataset / "videos", dataset / "none.vec", dataset / "labels", params, options, 1
    )
    clips = {clip.id: clip for clip in read_table(dataset / "labels" / "clips.parquet", Clip)}
    return clips, {drop.id: drop for drop in read_table(next(dataset.glob("labels/**/dropped.parquet")), Drop)}


ROWS = [
    ["long.mp4", "it begins", "0", "2", ""],
    ["long.mp4", "later", "00:00:12.0", "00:00:14", ""],
    ["long.mp4", "the same seen again", "12", "14", ""],
    ["long.mp4", "past the end", "23", "40", ""],
    ["long.mp4", "after it", "30", "31", ""],
    ["long.mp4", "too little", "5", "5.2", ""],
    ["long.mp4", "reversed", "9", "8", ""],
    ["long.mp4", "all of it", "", "", ""],
    ["other.mp4", "another", "1", "3", ""],
]


def test_clips_of_one_video_show_the_parts_that_their_rows_name(dataset):
    clips, drops = choose(dataset, ROWS)
    assert [(drop.reason, drop.detail) for drop in drops.values()] == [
        ("unusable_segment", "from 9 to 8 s is reversed: line 8 of labels.csv")
    ]
    later = clips["long.mp4@00012.000-00014.000"]
    assert (later.start, later.end, later.part) == (12.0, 14.0, "12-14")
    written = transcode(dataset, dataset / "out", shard_clips=3)
    assert sum(name.startswith("clips-") for name in written) == 3
    reader = ShardReader(dataset / "out")
    levels = {caption: reader.frames([row])[0].mean((1, 2, 3)) for row, caption in enumerate(reader.captions)}
    frames = reader.shape[0]
    for caption, first, count in [
        ("it begins", 0, 20),
        ("later", 120, 20),
        ("the same seen again", 120, 20),
        ("past the end", 230, 10),
        ("all of it", 0, 240),
        ("another", 10, 20),
    ]:
        expected = [first + (2 * k + 1) * count // (2 * frames) for k in range(frames)]
        assert np.abs(levels[caption] - expected).max() <= 2, (caption, levels[caption], expected)
    assert len(levels) == 6
    dropped = read_table(next(dataset.glob("out/**/dropped.parquet")), Drop)
    assert {drop.id: drop.reason for drop in dropped} == {
        "long.mp4@00005.000-00005.200": "too_short",
        "long.mp4@00030.000-00031.000": "outside_video",
    }


def test_a_part_that_cannot_be_decoded_leaves_those_behind_it_their_own_frames(dataset):
    parts = [(0, 2), (3, 4), (5, 20), (12, 14), (16, 17)]
    choose(dataset, [["long.mp4", f"{start} to {end}", str(start), str(end), ""] for start, end in parts])
    limits = transcoding().limits.model_copy(update={"video_frames": 60})
    transcode(dataset, dataset / "out", limits=limits)
    reader = ShardReader(dataset / "out")
    shown = {caption: reader.frames([row])[0].mean() / RATE for row, caption in enumerate(reader.captions)}
    middles = {"0 to 2": 1.0, "3 to 4": 3.5, "12 to 14": 13.0, "16 to 17": 16.5}
    assert shown == {caption: pytest.approx(middle, abs=0.2) for caption, middle in middles.items()}
    drops = read_table(next(dataset.glob("out/**/dropped.parquet")), Drop)
    assert [drop.id for drop in drops] == ["long.mp4@00005.000-00020.000"]


def test_shards_that_are_there_are_kept_and_other_numbers_of_workers_give_the_same_bytes(dataset):
    choose(dataset, ROWS)
    one = transcode(dataset, dataset / "out", shard_clips=2)
    assert transcode(dataset, dataset / "again", workers=2, shard_clips=2) == one


def test_parts_of_one_video_are_in_one_split_and_groups_join_videos(dataset, capsys):
    halves = filtering(categories=["*"], shares=ShareParams(train=0.5, judge=0.0, val=0.5, test=0.0))
    videos = ("long.mp4", "other.mp4", "more.mp4")
    draw_clock(dataset / "videos" / "more.mp4", frames=60)
    rows = [[video, f"part {k}", str(k), str(k + 2), ""] for video in videos for k in range(4)]
    clips, _ = choose(dataset, rows, options=halves)
    splits = [{clip.split for clip in clips.values() if clip.video == video} for video in videos]
    assert [len(found) for found in splits] == [1, 1, 1] and set.union(*splits) == {"train", "val"}
    rows = [
        *[["long.mp4", f"part {k}", str(k), str(k + 2), "A"] for k in range(4)],
        *[["other.mp4", f"other {k}", str(k), str(k + 2), "B" if k else "A"] for k in range(3)],
    ]
    clips, _ = choose(dataset, rows, group="film")
    assert {clip.group for clip in clips.values()} == {"A"}  # both groups show the other video, so they are one
    rows = [["long.mp4", "one", "0", "2", ""], ["other.mp4", "two", "0", "2", ""]]
    clips, _ = choose(dataset, rows, {"path_pattern": "^(l|o)"})
    assert sorted(clip.group for clip in clips.values()) == ["l", "o"]
    choose(dataset, rows, {"path_pattern": "(scene\\d)"})
    assert "dataset.path_pattern '(scene\\\\d)' fits no path, such as long.mp4" in capsys.readouterr().err


def test_ways_come_from_the_column_the_phrases_and_the_rules(dataset):
    rows = [
        ["long.mp4", "a car turning left", "0", "2", ""],
        ["long.mp4", "a car turning right", "2", "4", "still"],
        ["long.mp4", "pushing it from left to right", "4", "6", ""],
        ["long.mp4", "a cat", "6", "8", "up"],
    ]
    phrases = [{"words": "turning left", "moves": "right", "opposite": "turning right"}]
    clips, _ = choose(dataset, rows, {"directions": phrases}, direction="film")
    assert [clip.moves for clip in clips.values()] == ["right", "still", "right", "up"]
    told = json.loads((dataset / "labels" / "directions.json").read_text())
    assert [phrase["words"] for phrase in told["phrases"]] == ["turning left", "turning right"]


def test_few_groups_and_captions_that_cannot_be_flipped_are_told(dataset, capsys):
    rows = [["long.mp4", f"he left {k}", str(k / 10), str(k / 10 + 2), ""] for k in range(120)]
    everything = filtering(categories=["*"], mirror="swap", shares=ShareParams(train=1.0, judge=0.0, val=0.0, test=0.0))
    choose(dataset, rows, options=everything)
    told = capsys.readouterr().err
    assert "120 clips have no mirrored twin (other_sense 120); dataset.directions says" in told
    assert "few clips" not in told
    rows = [["long.mp4", f"part {k}", str(k / 10), str(k / 10 + 2), ""] for k in range(120)]
    choose(dataset, rows, options=filtering(categories=["*"]))
    told = capsys.readouterr().err
    assert "all 120 clips are of one video, 'long.mp4', and a video is in one split as a whole" in told
    assert "cut it into several files: `evaluate` will have nothing to measure on" in told
    choose(dataset, rows[:1], options=filtering(categories=["*"]))
    assert "one clip alone is left, and 0 are dropped: `evaluate` will have nothing" in capsys.readouterr().err
    more = [*rows[:20], ["other.mp4", "it", "0", "2", "a"]]
    choose(dataset, more, {"path_pattern": "(mp4)"}, filtering(categories=["*"]))
    assert "all 21 clips are of one group, 'mp4', which is in one split" in capsys.readouterr().err


def test_official_splits_within_one_video_are_told_where_they_leave_none_to_train_on(dataset):
    rows = [["long.mp4", f"part {k}", str(k), str(k + 2), "test" if k == 3 else "train"] for k in range(9)]
    with pytest.raises(UserError, match="none of the 1 clips fell into the train split") as caught:
        choose(dataset, rows, split="film")
    assert "a group, or a video, is in one split as a whole. Left out before: 8 other_split" in str(caught.value)
    assert "line 2 of labels.csv, is dropped as other_split: long.mp4 is in test" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"language": "other"}, False),
        ({"directions": [{"words": "nach rechts", "moves": "right"}]}, False),
    ],
)
def test_captions_in_another_language_are_told_of_unless_params_tell_their_ways(dataset, capsys, changes, told):
    choose(
        dataset, [["long.mp4", f"Ein Mann geht nach rechts und {k}", "0", str(k + 2), ""] for k in range(9)], changes
    )
    assert ("captions do not look English" in capsys.readouterr().err) is told


def test_a_group_in_two_official_splits_is_refused_with_its_rows(dataset):
    rows = [["long.mp4", "one", "0", "2", "train"], ["other.mp4", "two", "0", "2", "test"]]
    with pytest.raises(UserError) as caught:
        choose(dataset, rows, {"path_pattern": "(mp4)"}, split="film")
    told = "dataset.path_pattern: the group 'mp4' is in two official splits: line 2 of labels.csv in train and line 3"
    assert told in str(caught.value) and "let the groups go, dataset.path_pattern: null" in str(caught.value)
