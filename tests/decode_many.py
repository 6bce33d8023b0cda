"""Decode files in a process of its own, so that a crash or a hang of a decoder shows: python decode_many.py FOLDER.

Prints a line of JSON for each file: its name and the digest of its clips, or the kind and the words of its refusal.
Files of Matroska's kind are read through `av.open` as well, and one good file after each of the others.
"""

import hashlib
import json
import sys
from pathlib import Path

from settings import clip_shape, transcoding

from pipeline.video import DecodeError
from pipeline.video import pyav_decoder as in_process
from pipeline.video.decode import decode_video
from pipeline.video.timeline import ShortClip
from pipeline.video.webm import UnsupportedFile

PLAIN = in_process.read_plain_webm


def outcome(path: Path, options) -> list[str]:
    """What becomes of one file."""
    try:
        clips = decode_video(path, clip_shape(4, 16, 16), options, "key").clips
    except (DecodeError, ShortClip) as error:
        return [type(error).__name__, str(error)]
    assert all(clip.shape == (4, 16, 16, 3) and clip.dtype == "uint8" for clip in clips)
    return ["clips", hashlib.sha256(b"".join(clip.tobytes() for clip in clips)).hexdigest()]


def refuse(_: bytes):
    raise UnsupportedFile("for the test")


def main(folder: Path, decoder: str) -> None:
    options = transcoding(short_clips="repeat_last", decoder=decoder)
    for path in sorted(folder.iterdir()):
        result = {"name": path.name, "outcome": outcome(path, options)}
        if decoder == "in_process" and path.suffix == ".webm":
            in_process.read_plain_webm = refuse
            result["by_open"] = outcome(path, options)
            in_process.read_plain_webm = PLAIN
        print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
