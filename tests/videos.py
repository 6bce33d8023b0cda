"""Videos drawn by ffmpeg for the tests, and ffmpeg's own reading of a video to compare with."""

from pathlib import Path

import ffmpeg
import numpy as np

from pipeline.records import Frames
from pipeline.video.ffmpeg import run


def draw(path: Path, *, frames: int = 24, shape: str = "427x240", **options: object) -> Path:
    """Write a test picture in motion; `options` are those of ffmpeg's output."""
    drawing = ffmpeg.input(f"testsrc2=s={shape}:r=12", f="lavfi")
    run(drawing.output(str(path), **{"frames:v": frames, "threads": 1, **options}), seconds=60)
    return path


def read_by_ffmpeg(path: Path, filters: list[tuple[str, str]], numbers: list[int], height: int, width: int) -> Frames:
    """Frames `numbers` of a video through the same filters, by the static ffmpeg: uint8 [T,H,W,3]."""
    wanted = sorted(set(numbers))
    chosen = "+".join(f"eq(n\\,{number})" for number in wanted)
    chain = ",".join([f"select={chosen}", *(f"{name}={value}" if value else name for name, value in filters)])
    source = ffmpeg.input(f"file:{path}", noautorotate=None)
    output = source["V:0"].output("pipe:", vf=chain, fps_mode="passthrough", f="rawvideo")
    pixels = np.frombuffer(run(output, seconds=60), np.uint8).reshape(len(wanted), height, width, 3)
    return pixels[[wanted.index(number) for number in numbers]]
