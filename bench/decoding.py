"""Videos to clips of 16x64x64: this project's way beside others, and beside nothing but decoding."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from unittest.mock import patch

import av
import ffmpeg
import numpy as np

from bench.measuring import Times, cpu_seconds, interleaved
from pipeline.params import ClipParams, TranscodeParams
from pipeline.records import Frames
from pipeline.video.decode import decode_video
from pipeline.video.ffmpeg import run
from pipeline.video.geometry import SCALE_FLAGS
from pipeline.video.webm import UnsupportedFile, read_plain_webm

os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "threads;1"  # OpenCV reads it when it opens a file


def measure_decoding(paths: list[Path], shape: ClipParams, options: TranscodeParams, rounds: int) -> dict[str, Times]:
    """CPU seconds for all the videos, of each way."""
    packets = {
        path: [av.Packet(packet.data) for packet in read_plain_webm(path.read_bytes()).packets] for path in paths
    }
    decoder = av.CodecContext.create("vp9", "r")
    decoder.thread_count = 1
    works: dict[str, Callable[[Path], object]] = {
        "floor": partial(_decode_only, packets=packets, decoder=decoder),
        "ours": partial(_ours, shape=shape, options=options),
        "ffmpeg": partial(_one_process, shape=shape),
    }
    if (by_opencv := _opencv()) is not None:
        works["opencv"] = partial(by_opencv, shape=shape)
    return interleaved(works, paths, rounds, cpu_seconds)


def count_equal(paths: list[Path], shape: ClipParams, options: TranscodeParams) -> dict[str, int]:
    """Of how many videos the frames are byte-equal by the plain WebM reader, by `av.open` and by ffmpeg-python."""
    equal = plain = 0
    for path in paths:
        fast = decode_video(path, shape, options, path.stem).clips
        with patch("pipeline.video.pyav_decoder.read_plain_webm", side_effect=UnsupportedFile("as if it were")):
            opened = decode_video(path, shape, options, path.stem).clips
        by_ffmpeg = decode_video(path, shape, options.model_copy(update={"decoder": "ffmpeg"}), path.stem).clips
        equal += all(np.array_equal(fast, others) for others in (opened, by_ffmpeg))
        plain += _is_plain(path)
    return {"equal": equal, "plain": plain}


def _is_plain(path: Path) -> bool:
    try:
        read_plain_webm(path.read_bytes())
    except UnsupportedFile:
        return False
    return True


def _decode_only(path: Path, packets: Mapping[Path, list[av.Packet]], decoder: av.VideoCodecContext) -> None:
    """Nothing but decoding on one thread: the packets are in memory, and the decoder is the one of the video before."""
    for packet in packets[path]:
        decoder.decode(packet)


def _ours(path: Path, shape: ClipParams, options: TranscodeParams) -> list[Frames]:
    return decode_video(path, shape, options, path.stem).clips


def _one_process(path: Path, shape: ClipParams) -> Frames:
    """All frames cropped and scaled by one process of the static ffmpeg, then the wanted ones taken."""
    video = ffmpeg.input(str(path), threads=1).video.filter("crop", "ih", "ih")
    video = video.filter("scale", shape.width, shape.height, flags=SCALE_FLAGS)
    pixels = run(video.output("pipe:", f="rawvideo", pix_fmt="rgb24", threads=1), seconds=60)
    frames = np.frombuffer(pixels, np.uint8).reshape(-1, shape.height, shape.width, 3)
    return _spread(frames, shape.frames)


def _opencv() -> Callable[..., Frames] | None:
    """The way of the seed: every frame read and resized by OpenCV; None where it is not installed."""
    try:
        import cv2
    except ImportError:
        return None
    cv2.setNumThreads(1)

    def by_opencv(path: Path, shape: ClipParams) -> Frames:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        frames = []
        while True:
            read, frame = capture.read()
            if not read:
                break
            left = (frame.shape[1] - frame.shape[0]) // 2
            square = frame[:, left : left + frame.shape[0]]
            resized = cv2.resize(square, (shape.width, shape.height), interpolation=cv2.INTER_AREA)
            frames.append(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB))
        capture.release()
        return _spread(np.stack(frames), shape.frames)

    return by_opencv


def _spread(frames: Frames, wanted: int) -> Frames:
    return frames[[(2 * k + 1) * len(frames) // (2 * wanted) for k in range(wanted)]]
