#!/usr/bin/env bash
# Two equal pictures have no optical flow between them. OpenCV's Farneback flow is not zero for them: at the right and lower
# border it takes what lies outside as black, so where texture runs into the border it finds movement, and the averaging
# window carries that inwards. In small pictures, such as generated videos of 32x32, it reaches most of the frame.
#
# Seen on 2026-11-28 with opencv-python-headless 5.0.0.93; oblique stripes of 32x32 pixels, window 10, 3 levels:
#   largest flow 1.62 pixels, above 1 % of the height in 15 % of the pixels; with 8 repeated pixels all round: 0.00, none
#
# What this project does: flow is measured with repeated pixels all round, which are cut off again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check opencv-python-headless==5.0.0.93 numpy==2.4.6
venv/bin/python - <<'E'
import sys
from importlib.metadata import version

import cv2
import numpy as np

SIDE, MARGIN = 32, 8
down, right = np.mgrid[0:SIDE, 0:SIDE]
stripes = np.where(((right + 2 * down) // 6) % 2 > 0, 200, 60).astype(np.uint8)


def measure(margin):
    picture = cv2.copyMakeBorder(stripes, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    flow = cv2.calcOpticalFlowFarneback(picture, picture, None, 0.5, 3, 10, 3, 5, 1.1, 0)
    speed = np.linalg.norm(flow[margin : margin + SIDE, margin : margin + SIDE], axis=-1)
    return float(speed.max()), float((speed > SIDE / 100).mean())


print(f"versions: opencv-python-headless {version('opencv-python-headless')}")
print("expected: no flow between a picture and itself")
bare, extended = measure(0), measure(MARGIN)
print(f"seen:     largest {bare[0]:.2f} pixels, {bare[1]:.0%} of the pixels above 1 % of the height")
print(f"seen:     with {MARGIN} repeated pixels all round: largest {extended[0]:.2f}, {extended[1]:.0%}")
if bare[0] < 1 or bare[1] < 0.1:
    sys.exit("changed: a still picture has next to no flow")
if extended[0] > 0.05:
    sys.exit("changed: repeated pixels do not help any more")
print("as recorded")
E
