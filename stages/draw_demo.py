"""Stage `draw`: seed -> the embedded dataset, WebM clips with labels in the shape of Something-Something-V2."""

import shutil
from functools import partial
from pathlib import Path

from pipeline.compute.processes import map_ordered
from pipeline.demo.catalogue import CATEGORIES
from pipeline.demo.clip import FPS, draw_frames
from pipeline.demo.plan import Plan, plan_clips
from pipeline.errors import run
from pipeline.files import digest_file, replacing, write_json
from pipeline.params import DemoParams, load_params, worker_count
from pipeline.video.encode import encode_frames


def draw_demo(labels: Path, videos: Path, options: DemoParams, seed: int, workers: int) -> None:
    """Draw every clip anew into `videos`, then write train.json, validation.json, labels.json and checksums.txt."""
    for folder in (labels, videos):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    plans = list(plan_clips(seed, options.clips, options.validation_share))
    digests = map_ordered(partial(draw_clip, videos), plans, workers, label="drawing clips")
    lines = sorted(f"{digest}  {plan.id}.webm\n" for plan, digest in zip(plans, digests, strict=True))
    # The labels folder changes whenever a video does, so a stage that depends on it sees both.
    with replacing(labels / "checksums.txt") as temporary:
        temporary.write_text("".join(sorted(lines, key=lambda line: line.split()[1])), encoding="utf-8")
    write_json(labels / "labels.json", {_name(category.template): category.number for category in CATEGORIES})
    rows = sorted(plans, key=lambda plan: int(plan.id))
    write_json(labels / "train.json", [plan.row() for plan in rows if not plan.validation])
    write_json(labels / "validation.json", [plan.row() for plan in rows if plan.validation])


def draw_clip(videos: Path, plan: Plan) -> str:
    """Draw and encode one clip -> the SHA-256 of its file."""
    path = videos / f"{plan.id}.webm"
    encode_frames(draw_frames(plan), path, fps=FPS, codec="vp9")
    return digest_file(path)


def _name(template: str) -> str:
    return template.replace("[", "").replace("]", "")


def main(labels: Path = Path("data/demo/labels"), videos: Path = Path("data/demo/videos")) -> None:
    """Draw the embedded dataset as params.yaml says."""
    params = load_params()
    draw_demo(labels, videos, params.demo, params.seed, worker_count(params.compute))


if __name__ == "__main__":
    run(main)
