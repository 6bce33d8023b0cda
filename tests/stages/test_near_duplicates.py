"""Near-duplicates in real videos: decoded by `filter` where it is asked to, told by `transcode` where it is not."""

import json
import subprocess
import sys

import pytest
import yaml
from locations import ROOT
from videos import draw

from pipeline.records import Clip, Drop
from pipeline.tables import read_table

NAMES = [f"{place:02}" for place in range(8)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Eight videos that differ, all of them a second time by another encoder, and their table."""
    folder = tmp_path_factory.mktemp("repeats")
    (folder / "videos").mkdir()
    for place, name in enumerate(NAMES):
        turned = f"rotate={place}*0.8+t*{place - 4}"
        draw(folder / "videos" / f"{name}.mkv", shape="64x48", frames=20, vf=turned, vcodec="ffv1")
        draw(folder / "videos" / f"{name}-again.mp4", shape="64x48", frames=20, vf=turned, vcodec="mjpeg")
    files = sorted(path.name for path in (folder / "videos").iterdir())
    (folder / "table.csv").write_text("path,caption\n" + "".join(f"{file},a thing turning\n" for file in files))
    return folder


def run(dataset, out, stage, **options):
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree["dataset"] |= {"format": "table", "path_pattern": None}
    tree["dataset"]["columns"] |= {"path": "path", "caption": "caption"}
    tree["filter"] |= {"categories": ["*"], "test_pairs": 0.0, "test_words": [], **options}
    tree["filter"]["shares"] = {"train": 0.5, "judge": 0.1, "val": 0.2, "test": 0.2}
    (out / "params.yaml").write_text(yaml.safe_dump(tree))
    words = ["--videos", dataset / "videos"]
    if stage == "filter_labels":
        words += ["--labels", dataset / "table.csv", "--vectors", "none"]
    command = [sys.executable, "-m", f"stages.{stage}", *map(str, words)]
    return subprocess.run(
        command, cwd=out, env={"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True, check=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["keep", "group", "drop"])
def test_a_video_encoded_twice_is_told_or_stays_in_one_split_or_goes(dataset, tmp_path, choice):
    run(dataset, tmp_path, "filter_labels", duplicates=choice)
    clips = read_table(tmp_path / "data/labels/clips.parquet", Clip)
    drops = read_table(tmp_path / "data/labels/dropped/dropped.parquet", Drop)
    done = run(dataset, tmp_path, "transcode_clips", duplicates=choice)
    leaks = json.loads((tmp_path / "data/clips/report.json").read_text())["near_duplicates_of_train"]
    splits = [{clip.split for clip in clips if clip.video.startswith(name)} for name in NAMES]
    parted = sum("train" in some and bool(some & {"val", "test"}) for some in splits)
    assert sum(leak["near"] for leak in leaks.values()) == parted
    assert ("near-duplicate" in done.stderr) == (parted > 0) == (choice == "keep")
    assert [len(some) for some in splits] == [1] * len(NAMES) or choice == "keep"
    assert [drop.reason for drop in drops] == ["near_duplicate"] * (len(NAMES) if choice == "drop" else 0)
