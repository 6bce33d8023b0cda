"""Videos drawn by ffmpeg for the tests."""

from pathlib import Path

import ffmpeg

from pipeline.video.ffmpeg import run


def draw(path: Path, *, frames: int = 24, shape: str = "427x240", **options: object) -> Path:
    """Write a test picture in motion; `options` are those of ffmpeg's output."""
    drawing = ffmpeg.input(f"testsrc2=s={shape}:r=12", f="lavfi")
    run(drawing.output(str(path), **{"frames:v": frames, "threads": 1, **options}), seconds=60)
    return path
