#!/usr/bin/env bash
# An H.264 stream may tell the decoder to cut columns off on the left. FFmpeg's library rounds that number down to a multiple
# of 64, for aligned pointers, so columns that are to be hidden are shown. PyAV then hands out frames that are wider than the
# stream says; OpenCV squeezes those frames into the stated width. The ffmpeg program sets a flag against all this.
#
# Seen on 2026-11-28 with PyAV 18.1.0 (FFmpeg 8.1.2), imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2), OpenCV 5.0.0.93; a ramp whose
# grey level is the number of the column, 40 columns cut on the left of 192:
#   ffmpeg: 152 columns, from 40 to 191; PyAV: 192, from 0 to 191; OpenCV: 152, from 0 to 191 (squeezed)
#   PyAV with flags=unaligned: 152 columns, from 40 to 191
#
# What this project does: both decoders crop to the column; the one on PyAV sets `flags: unaligned`
# (tests/video/test_streams.py).
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
RAMP = "nullsrc=s=192x32:r=10:d=0.3,format=gray,geq=lum=X,scale=out_range=full,format=yuvj420p"


def by_pyav(flags):
    with av.open("crop.mp4") as container:
        container.streams.video[0].codec_context.options = flags
        frame = next(container.decode(video=0))
    return frame.to_ndarray()[0, : frame.width]


subprocess.run([*FFMPEG, "-f", "lavfi", "-i", RAMP, "-c:v", "libx264", "-qp", "0", "whole.mp4"], check=True)
subprocess.run([*FFMPEG, "-i", "whole.mp4", "-c", "copy", "-bsf:v", "h264_metadata=crop_left=40", "crop.mp4"], check=True)
raw = subprocess.run([*FFMPEG, "-i", "crop.mp4", "-frames:v", "1", "-pix_fmt", "gray", "-f", "rawvideo", "-"],
                     check=True, capture_output=True).stdout
rows = {
    "ffmpeg": np.frombuffer(raw, np.uint8).reshape(32, -1)[0],
    "PyAV": by_pyav({}),
    "OpenCV": cv2.VideoCapture("crop.mp4").read()[1][0, :, 0],
    "PyAV with flags=unaligned": by_pyav({"flags": "unaligned"}),
}
print(f"versions: av {av.__version__}, FFmpeg {imageio_ffmpeg.get_ffmpeg_version()}, OpenCV {cv2.__version__}")
print("expected: every row begins with column 40 (grey level 40) and ends with column 191")
for name, row in rows.items():
    print(f"seen:     {name}: {len(row)} columns, from {row[0]} to {row[-1]}")
ends = [(len(row), int(row[0]), int(row[-1])) for row in rows.values()]
if ends != [(152, 40, 191), (192, 0, 191), (152, 0, 191), (152, 40, 191)]:
    sys.exit("changed: PyAV and OpenCV no longer ignore the left crop in the recorded way")
print("as recorded")
E
