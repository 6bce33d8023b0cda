"""Stage `draw`: seed -> the embedded dataset, WebM clips with labels in the format of Something-Something-V2."""

import re
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from pipeline.compute import map_ordered
from pipeline.demo import FPS, draw_frames
from pipeline.demo.plan import CATEGORIES, ClipPlan, plan_clips
from pipeline.errors import UserError, run
from pipeline.files import atomic_write, digest_file, write_json
from pipeline.monitoring import progress
from pipeline.params import DemoParams, load_params, worker_count
from pipeline.video.ffmpeg import encode_clips

BATCH_CLIPS = 16  # clips per ffmpeg process


def draw_demo(labels: Path, videos: Path, options: DemoParams, seed: int, workers: int) -> None:
    """Draw all clips into `videos`, then write train.json, validation.json, labels.json and checksums.txt."""
    _empty(labels, r"(train|validation|labels)\.json|checksums\.txt")
    _empty(videos, r"\d+\.webm")
    plans = list(plan_clips(seed, options.clips, options.validation_share))
    parts = [plans[start : start + BATCH_CLIPS] for start in range(0, len(plans), BATCH_CLIPS)]
    label = f"drawing clips, {BATCH_CLIPS} at a time"
    digests = map_ordered(partial(draw_clips, videos), parts, workers, label=label, progress=progress)
    drawn = sorted(zip(plans, chain.from_iterable(digests), strict=True), key=lambda pair: int(pair[0].id))
    # With checksums, the labels folder changes whenever a video does, so stages may depend on it alone.
    with atomic_write(labels / "checksums.txt") as temporary:
        lines = [f"{digest}  {plan.id}.webm\n" for plan, digest in drawn]
        temporary.write_text("".join(lines), encoding="utf-8")
    write_json(labels / "labels.json", {_name(category.template): category.number for category in CATEGORIES})
    write_json(labels / "train.json", [plan.row() for plan, _ in drawn if not plan.validation])
    write_json(labels / "validation.json", [plan.row() for plan, _ in drawn if plan.validation])


def draw_clips(videos: Path, plans: Sequence[ClipPlan]) -> list[str]:
    """Draw and encode clips -> the SHA-256 of each file."""
    paths = [videos / f"{plan.id}.webm" for plan in plans]
    encode_clips([(draw_frames(plan), path) for plan, path in zip(plans, paths, strict=True)], fps=FPS)
    return [digest_file(path) for path in paths]


def _empty(folder: Path, ours: str) -> None:
    """Make an empty folder. Raises UserError if it has a file that this stage does not write."""
    folder.mkdir(parents=True, exist_ok=True)
    left_by_a_stop = r"\.\w+\.\d+\.(json|txt|webm)"
    for path in sorted(folder.iterdir()):
        if not re.fullmatch(f"{ours}|{left_by_a_stop}", path.name):
            raise UserError(f"{path}: not a file of the embedded dataset; name an empty folder instead of {folder}")
    for path in folder.iterdir():
        path.unlink()


def _name(template: str) -> str:
    return template.replace("[", "").replace("]", "")


def main(labels: Path = Path("data/demo/labels"), videos: Path = Path("data/demo/videos")) -> None:
    """Draw the embedded dataset."""
    params = load_params()
    draw_demo(labels, videos, params.demo, params.seed, worker_count(params.compute))


if __name__ == "__main__":
    run(main)
