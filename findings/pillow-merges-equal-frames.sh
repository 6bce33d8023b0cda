#!/usr/bin/env bash
# Pillow writes animations (GIF, WebP, PNG) with equal neighbouring frames merged into one that is shown for longer. A clip
# that rests for a while is read back with fewer frames, so anything that counts frames, or lays two saved clips side by
# side frame by frame, is off. The still control of an evaluation, one frame repeated, comes back as one frame.
#
# Seen on 2026-11-28 with Pillow 13.0.0; a clip of 6 frames with grey levels 10 10 20 20 20 30, 80 ms each:
#   GIF, WebP and PNG: 3 frames, shown for 160, 240 and 80 ms; 6 equal ones: 1 frame
#
# What this project does: animations by Pillow are for the eye only, on the boards of a training; frames that are measured
# stay in shards or NPZ files.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'E'
import sys

import numpy as np
import PIL
from PIL import Image, ImageSequence

frames = [Image.fromarray(np.full((16, 16, 3), level, np.uint8)) for level in (10, 10, 20, 20, 20, 30)]
print(f"versions: Pillow {PIL.__version__}")
print("expected: 6 frames, 80 ms each, are read back")
found = {}
for kind, options in {"gif": {}, "webp": {"lossless": True}, "png": {}}.items():
    frames[0].save(f"clip.{kind}", save_all=True, append_images=frames[1:], duration=80, loop=0, **options)
    with Image.open(f"clip.{kind}") as image:
        found[kind] = [round(frame.load() and frame.info["duration"]) for frame in ImageSequence.Iterator(image)]
    print(f"seen:     {kind}: {len(found[kind])} frames, shown for {found[kind]} ms")
if any(shown != [160, 240, 80] for shown in found.values()):
    sys.exit("changed: Pillow no longer merges equal frames in the recorded way")
frames[0].save("still.gif", save_all=True, append_images=[frames[0]] * 5, duration=80, loop=0)
with Image.open("still.gif") as image:
    still = getattr(image, "n_frames", 1)
print(f"seen:     gif of one frame six times: {still} frame")
if still != 1:
    sys.exit("changed: a still clip is no longer saved as one frame")
print("as recorded")
E
