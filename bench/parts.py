"""Many parts of one long video: how much of it is decoded for them, and what decoding all of it for each would cost."""

import time
from dataclasses import dataclass
from pathlib import Path

import ffmpeg

from pipeline.params import ClipParams, TranscodeParams
from pipeline.video.decode import DecodedVideo, Part, decode_parts
from pipeline.video.ffmpeg import run
from pipeline.video.limits import Budget
from pipeline.video.pyav_decoder import PyavReader

RATE, MINUTE = 25, 60
KEY_SECONDS = 10  # from one key frame to the next: what x264 does unless told otherwise


@dataclass(frozen=True, slots=True)
class PartCosts:
    """What many parts of a video cost."""

    parts: int
    decoded_share: float  # seconds decoded per second wanted
    seconds: float  # CPU time for all parts
    seconds_of_whole: float  # CPU time to decode the video once: a decode per row takes `parts` times as long


def draw_long(folder: Path, minutes: int) -> Path:
    """H.264 in MP4: one drawn minute, again and again."""
    folder.mkdir(parents=True)
    minute, listed, path = folder / "minute.mp4", folder / "minutes.txt", folder / "long.mp4"
    drawing = ffmpeg.input(f"testsrc2=s=320x240:r={RATE}:d={MINUTE}", f="lavfi")
    options = {"vcodec": "libx264", "preset": "ultrafast", "bf": 2, "g": KEY_SECONDS * RATE, "pix_fmt": "yuv420p"}
    run(drawing.output(str(minute), **options), seconds=300)
    listed.write_text(f"file '{minute}'\n" * minutes, encoding="utf-8")
    joined = ffmpeg.input(str(listed), f="concat", safe=0)
    run(joined.output(str(path), c="copy"), seconds=300)
    return path


def measure_parts(
    path: Path, minutes: int, parts: int, shape: ClipParams, options: TranscodeParams, at_once: int
) -> PartCosts:
    """Parts side by side over the whole video, `at_once` in a shard."""
    length = minutes * MINUTE / parts
    wanted = [Part(number * length, (number + 1) * length, str(number)) for number in range(parts)]
    add, decoded = Budget.add, 0

    def count(budget: Budget, width: int, height: int) -> None:
        nonlocal decoded
        decoded += 1
        add(budget, width, height)

    Budget.add = count  # type: ignore[method-assign]
    try:
        start = time.process_time()
        for place in range(0, parts, at_once):
            for found in decode_parts(path, wanted[place : place + at_once], shape, options):
                assert isinstance(found, DecodedVideo), found
        seconds = time.process_time() - start
    finally:
        Budget.add = add  # type: ignore[method-assign]
    limits = options.limits.model_copy(update={"video_frames": 10**9, "video_pixels": 10**15})
    start = time.process_time()
    PyavReader(path, limits).read(lambda _: (), lambda _: [])
    return PartCosts(parts, decoded / RATE / (minutes * MINUTE), seconds, time.process_time() - start)
