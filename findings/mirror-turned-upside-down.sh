#!/usr/bin/env bash
# The display matrix of an MP4 can mirror the picture, as cameras that face the user do. The ffmpeg program mirrors. PyAV's
# `frame.rotation` and OpenCV reduce the matrix to an angle, which for a plain left-right mirror is 180 degrees: whoever turns
# by it gets a picture that is upside down and still not the one to be shown. With a quarter turn the mirror is lost.
#
# Seen on 2026-11-28 with PyAV 18.1.0, imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2), opencv-python-headless 5.0.0.93; the corners
# are top left, top right / bottom left, bottom right, and B is a blue one:
#   mirror       ffmpeg .B/..  PyAV turned by -180 ../.B  OpenCV ../.B
#   turn+mirror  ffmpeg ../.B  PyAV turned by 90 ../B.    OpenCV ../B.
#
# What this project does: the matrix itself is read from the side data (`DISPLAYMATRIX`), and its determinant decides
# whether the picture is mirrored (tests/video/test_orientation.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check av==18.1.0 imageio-ffmpeg==0.8.1 \
	opencv-python-headless==5.0.0.93 numpy==2.4.6
venv/bin/python - <<'E'
import subprocess
import sys

import av
import cv2
import imageio_ffmpeg
import numpy as np

FFMPEG = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
PICTURE = "color=red:s=32x32:r=10:d=0.5,drawbox=x=0:y=0:w=16:h=16:color=blue:t=fill"


def corners(rgb):
    return "/".join("".join("B" if pixel[2] > pixel[0] else "." for pixel in rgb[y, [8, 24]]) for y in (8, 24))


subprocess.run([*FFMPEG, "-f", "lavfi", "-i", PICTURE, "-c:v", "libx264", "-pix_fmt", "yuv444p", "plain.mp4"], check=True)
print(f"versions: av {av.__version__}, FFmpeg {imageio_ffmpeg.get_ffmpeg_version()}, OpenCV {cv2.__version__}")
print("expected: three programs that honour the display matrix show one picture")
found = {}
for name, matrix in {"mirror": ["-display_hflip"], "turn+mirror": ["-display_rotation", "90", "-display_hflip"]}.items():
    path = f"{name}.mp4"
    subprocess.run([*FFMPEG, *matrix, "-i", "plain.mp4", "-c", "copy", path], check=True)
    raw = subprocess.run([*FFMPEG, "-i", path, "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"],
                         check=True, capture_output=True).stdout
    with av.open(path) as container:
        frame = next(container.decode(video=0))
    turned = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
    _, bgr = cv2.VideoCapture(path).read()
    program = corners(np.frombuffer(raw, np.uint8).reshape(32, 32, 3))
    found[name] = program, frame.rotation, corners(turned), corners(bgr[:, :, ::-1])
    print("seen:    ", name, "ffmpeg %s, PyAV turned by %s %s, OpenCV %s" % found[name])
if found != {"mirror": (".B/..", -180, "../.B", "../.B"), "turn+mirror": ("../.B", 90, "../B.", "../B.")}:
    sys.exit("changed: the three no longer disagree in the recorded way")
print("as recorded")
E
