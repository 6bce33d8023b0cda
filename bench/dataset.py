"""Synthetic clips and labels like Something-Something-V2's: VP9, 427x240, 12 fps, 45 frames, about 88 kB."""

import itertools
import json
import os
import random
from functools import partial
from pathlib import Path

import ffmpeg
import numpy as np
from PIL import Image

from pipeline.compute import map_ordered
from pipeline.demo import draw_frames
from pipeline.demo.plan import ClipPlan, plan_clips
from pipeline.files import digest_file
from pipeline.monitoring import progress
from pipeline.records import Clip
from pipeline.video.ffmpeg import run

FRAMES, FPS = 45, 12
VERBS = ("Pushing", "Pulling", "Moving", "Lifting", "Turning", "Putting", "Dropping", "Showing", "Holding", "Tilting")
WAYS = (
    "from left to right", "from right to left", "up", "down", "upside down", "away from the camera", "onto a table",
    "towards the camera", "behind something else", "so that it falls over", "until it stands", "slowly",
    "next to a box", "in front of the camera", "without letting it go", "and catching it", "with a hand",
)  # fmt: skip
THINGS = 400  # words for objects
MAX_LINKS = 30_000  # hard links per file


def draw_clips(folder: Path, count: int, workers: int) -> list[Path]:
    """Render enlarged videos of the demo, with the shake and grain of a hand-held camera."""
    folder.mkdir(parents=True)
    plans = list(plan_clips(7, count, 0.1))
    return list(map_ordered(partial(_draw, folder), plans, workers, label="drawing clips", progress=progress))


def _draw(folder: Path, plan: ClipPlan) -> Path:
    frames = draw_frames(plan)
    frames = frames[np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)]
    _, height, width, _ = frames.shape
    source = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", video_size=(width, height), framerate=FPS)
    video = source.filter("scale", 440, 250, flags="bicubic").filter("crop", 427, 240, "6+5*sin(n/7)", "5+4*sin(n/5)")
    video = video.filter("noise", alls=6, allf="t", all_seed=plan.number)
    options = {"vcodec": "libvpx-vp9", "pix_fmt": "yuv420p", "video_bitrate": "138k", "g": 9999, "threads": 1}
    path = folder / f"{plan.number}.webm"
    run(video.output(str(path), deadline="realtime", **options, **{"cpu-used": 6}), input=frames.tobytes(), seconds=60)
    return path


def draw_short(path: Path) -> Path:
    """A video of 3 frames, which stages open and then drop as too short."""
    run(
        ffmpeg.input("testsrc2=s=32x32:r=12", f="lavfi").output(str(path), vcodec="libvpx-vp9", **{"frames:v": 3}),
        seconds=60,
    )
    return path


def write_labels(path: Path, rows: int) -> list[str]:
    """Write a label file with `rows` rows in 170 categories -> their ids."""
    rng = random.Random(0)
    templates = [f"{verb} [something] {way}" for verb, way in itertools.product(VERBS, WAYS)]
    things = [f"{first}{second}" for first in ("", "red ", "big ", "toy ") for second in _words(rng, THINGS // 4)]
    listed = []
    for number in range(1, rows + 1):
        template, thing = rng.choice(templates), f"a {rng.choice(things)}"
        label = template.replace("[something]", thing).lower()
        listed.append({"id": str(number), "label": label, "template": template, "placeholders": [thing]})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(listed), encoding="utf-8")
    return [row["id"] for row in listed]


def write_names(folder: Path, ids: list[str]) -> None:
    """Write a placeholder video under many names."""
    folder.mkdir(parents=True)
    for number, name in enumerate(ids):
        if number % MAX_LINKS == 0:
            first = folder / f"{name}.webm"
            first.write_bytes(b"a video")
        else:
            os.link(first, folder / f"{name}.webm")


def link_pictures(folder: Path, ids: list[str], each: int) -> None:
    """Write a folder per id with `each` images, which are links to few files."""
    source, links = folder, 0
    for clip_id in ids:
        clip = folder / clip_id
        clip.mkdir(parents=True)
        for number in range(1, each + 1):
            if links % MAX_LINKS == 0:
                source = folder.parent / f"picture-{links // MAX_LINKS}.jpg"
                Image.effect_noise((176, 100), links % 251 + 1).convert("RGB").save(source)
            os.link(source, clip / f"{number:05}.jpg")
            links += 1


def chosen_clips(videos: list[Path]) -> list[Clip]:
    """Rows of clips.parquet as `filter` writes them, one per video; a video may be repeated."""
    digests = {path: digest_file(path) for path in set(videos)}
    return [
        Clip(
            id=f"{number:07}",
            caption="pushing a mug from left to right",
            original="pushing a mug from left to right",
            category="pushing-something-from-left-to-right",
            template="Pushing [something] from left to right",
            objects=("mug",),
            split="train",
            video=path.name,
            digest=digests[path],
            mirrored=False,
        )
        for number, path in enumerate(videos)
    ]


def _words(rng: random.Random, count: int) -> list[str]:
    return [
        "".join(rng.choice(("ba", "ko", "li", "mu", "ne", "ra", "so", "tu")) for _ in range(3)) for _ in range(count)
    ]
