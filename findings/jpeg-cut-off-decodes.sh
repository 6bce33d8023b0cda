#!/usr/bin/env bash
# Half of a JPEG file is decoded by FFmpeg, in PyAV and in its program, to a whole picture whose lower half is made up: no
# error, exit code 0, no corrupt flag. OpenCV does likewise, with a line on stderr. Only `err_detect=explode` makes FFmpeg refuse it.
# A folder of frames whose copying was stopped so becomes clips with grey bars.
#
# Seen on 2026-11-28 with PyAV 18.1.0 (FFmpeg 8.1.2), imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2), OpenCV 5.0.0.93, Pillow 12.3.0:
#   half a file: PyAV 1 frame, not corrupt; ffmpeg exit code 0; OpenCV a picture; Pillow OSError
#   with err_detect=explode: PyAV InvalidDataError; ffmpeg no picture
#
# What this project does: pictures are decoded with `err_detect: crccheck+explode`, so a clip with one that
# is cut off is dropped.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check \
	av==18.1.0 imageio-ffmpeg==0.8.1 numpy==2.4.6 opencv-python-headless==5.0.0.93 pillow==12.3.0
venv/bin/python - <<'E'
import io
import subprocess
import sys
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
from av.packet import Packet
from PIL import Image

picture = io.BytesIO()
Image.effect_noise((320, 240), 60).convert("RGB").save(picture, "JPEG")
half = picture.getvalue()[: len(picture.getvalue()) // 2]
Path("half.jpg").write_bytes(half)


def by_pyav(**options):
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.options = options
    try:
        frames = [*decoder.decode(Packet(half)), *decoder.decode(None)]
    except av.InvalidDataError:
        return "InvalidDataError"
    return f"{len(frames)} frame, {'corrupt' if frames[0].is_corrupt else 'not corrupt'}"


def by_program(*options):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", *options, "-i", "half.jpg", "-f", "rawvideo", "-"]
    done = subprocess.run(command, capture_output=True)
    return f"exit code {done.returncode}, {'a picture' if done.stdout else 'no picture'}"


def by_pillow():
    try:
        Image.open("half.jpg").load()
    except OSError:
        return "OSError"
    return "a picture"


print(f"versions: av {av.__version__}, FFmpeg {imageio_ffmpeg.get_ffmpeg_version()}, OpenCV {cv2.__version__}")
print("expected: an error, as from Pillow")
found = {
    "PyAV": by_pyav(),
    "ffmpeg": by_program(),
    "OpenCV": "nothing" if cv2.imread("half.jpg") is None else "a picture",
    "Pillow": by_pillow(),
    "PyAV, explode": by_pyav(err_detect="explode"),
    "ffmpeg, explode": by_program("-err_detect", "explode").partition(", ")[2],
}
for name, what in found.items():
    print(f"seen:     {name}: {what}")
if found != {
    "PyAV": "1 frame, not corrupt",
    "ffmpeg": "exit code 0, a picture",
    "OpenCV": "a picture",
    "Pillow": "OSError",
    "PyAV, explode": "InvalidDataError",
    "ffmpeg, explode": "no picture",
}:
    sys.exit("changed: half a JPEG file is no longer decoded in the recorded way")
print("as recorded")
E
