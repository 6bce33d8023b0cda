"""Whole stages, run as DVC runs them: time, memory, and the speedup by a second core."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bench.dataset import chosen_clips, link_pictures, write_labels, write_names
from bench.measuring import ROOT, Times, Usage, cpu_seconds, interleaved, run_stage
from pipeline.records import Clip
from pipeline.tables import write_table

WHOLE_SHARE = 0.01  # of rows with normal videos; the others are dropped, which also takes memory
PICTURES = 40  # per folder
SHARD_CLIPS = 25  # few, so that both workers end at about the same time


def measure_cores(
    folder: Path, videos: list[Path], shape: dict[str, int], rounds: int
) -> tuple[dict[str, Times], float]:
    """Wall seconds of the whole stage `transcode` with one worker process and with two; and the ratio of CPU times of
    the busiest process, which is the speedup on an otherwise idle machine."""
    write_table(folder / "labels" / "clips.parquet", Clip, chosen_clips(videos))
    changes = {"clip": shape, "transcode": {"shard_clips": SHARD_CLIPS}}
    projects = {w: _project(folder / f"{w}", compute={"workers": w}, **changes) for w in (1, 2)}
    critical: dict[int, float] = {}

    def transcode(videos: Path, workers: int) -> None:
        used = _transcode(projects[workers], videos, folder / "labels").critical_seconds
        critical[workers] = min(used, critical.get(workers, used))

    ways = {f"{workers}": partial(transcode, workers=workers) for workers in projects}
    times = interleaved(ways, [videos[0].parent], rounds, time.monotonic)
    return times, critical[1] / critical[2]


def measure_sandbox(folder: Path, videos: list[Path], shape: dict[str, int], rounds: int) -> dict[str, Times]:
    """CPU seconds of the whole stage `transcode` with one worker process, sandboxed (`auto`) and not (`off`)."""
    write_table(folder / "labels" / "clips.parquet", Clip, chosen_clips(videos))
    projects = {
        mode: _project(folder / mode, compute={"workers": 1, "sandbox": mode}, clip=shape) for mode in ("off", "auto")
    }
    ways = {mode: partial(_transcode, project, labels=folder / "labels") for mode, project in projects.items()}
    return interleaved(ways, [videos[0].parent], rounds, cpu_seconds)


def measure_transcode_memory(folder: Path, video: Path, short: Path, rows: int, shape: dict[str, int]) -> int:
    """The peak memory of the stage and its workers with this number of label rows, in bytes."""
    whole = max(1, round(rows * WHOLE_SHARE))
    videos = [video] * whole + [short] * (rows - whole)
    write_table(folder / "labels" / "clips.parquet", Clip, chosen_clips(videos))
    return _transcode(_project(folder / "project", clip=shape), video.parent, folder / "labels").memory


def measure_texts(folder: Path, rows: int) -> dict[str, float]:
    """Seconds and memory of `filter` with the shipped categories (`filter`) and with every row chosen (`filter_all`),
    and of `tokenize` after the latter.

    Videos have a few bytes, since neither stage decodes them, and the speed of the disk is not measured.
    """
    ids = write_labels(folder / "labels" / "train.json", rows)
    write_names(folder / "videos", ids)
    dataset = {"format": "something", "labels": "../labels/train.json", "videos": "../videos"}
    shipped = _project(folder / "shipped", dataset=dataset)
    every = _project(folder / "every", dataset=dataset, filter={"categories": ["*"]})
    given = ("--labels", dataset["labels"], "--videos", dataset["videos"])
    found = _timed("filter", "stages.filter_labels", shipped, *given)
    found |= _timed("filter_all", "stages.filter_labels", every, *given)
    return found | _timed("tokenize", "stages.tokenize_captions", every)


def measure_pictures(folder: Path, folders: int) -> dict[str, float]:
    """Seconds and memory of `filter` with every row chosen, for videos that are folders of images."""
    ids = write_labels(folder / "labels" / "train.json", folders)
    link_pictures(folder / "videos", ids, PICTURES)
    dataset = {"format": "something", "labels": "../labels/train.json", "videos": "../videos"}
    project = _project(folder / "project", dataset=dataset, filter={"categories": ["*"]})
    given = ("--labels", dataset["labels"], "--videos", dataset["videos"])
    return _timed("filter_pictures", "stages.filter_labels", project, *given)


def _timed(name: str, module: str, project: Path, *arguments: str) -> dict[str, float]:
    started, used = time.monotonic(), cpu_seconds()
    memory = run_stage(module, project, *arguments).memory
    seconds = {"seconds": time.monotonic() - started, "cpu_seconds": cpu_seconds() - used, "memory": float(memory)}
    return {f"{name}_{what}": value for what, value in seconds.items()}


def _transcode(project: Path, videos: Path, labels: Path) -> Usage:
    return run_stage("stages.transcode_clips", project, "--videos", str(videos), "--labels", str(labels))


def _project(folder: Path, **changes: dict[str, Any]) -> Path:
    """Create a folder with the default params.yaml and some changed values."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, values in changes.items():
        tree[section] |= values
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return folder
