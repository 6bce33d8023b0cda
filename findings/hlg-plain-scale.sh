#!/usr/bin/env bash
# Videos of phones are often HLG or PQ. FFmpeg's scale filter undoes the matrix and the range of such a video but leaves its
# transfer curve, so a white sheet of paper comes out as mid grey in the RGB frame, without a warning; PyAV's
# `to_ndarray(format="rgb24")` does the same. The filter converts the curve only when it is given the one to arrive at.
#
# Seen on 2026-11-28 with PyAV 18.1.0 (FFmpeg 8.1.2), imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2); grey level (of 255) of the
# reference white of BT.2408, which is shown as full white on an SDR screen:
#   HLG: scale 191, PyAV 189, scale with out_transfer 254; PQ: scale 148, PyAV 146, scale with out_transfer 253
#
# What this project does: HLG, PQ and P3 are brought to sRGB by the closed form of their curves, alike in both decoders
# (tests/video/test_colour.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check \
	av==18.1.0 imageio-ffmpeg==0.8.1 numpy==2.4.6
venv/bin/python - <<'E'
import subprocess
import sys

import av
import imageio_ffmpeg

FFMPEG = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
WHITE = {"arib-std-b67": 0.75, "smpte2084": 0.58}  # signal of the reference white, 0..1
CURVE = "scale=32:32:out_primaries=bt709:out_transfer=iec61966-2-1,format=gbrp"


def level(path, filters):
    command = [*FFMPEG, "-i", path, "-vf", filters, "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout[0]


print(f"versions: av {av.__version__}, FFmpeg {imageio_ffmpeg.get_ffmpeg_version()}")
print("expected: reference white becomes about 255 in an RGB frame")
seen = {}
for curve, signal in WHITE.items():
    path = f"{curve}.mp4"
    source = f"nullsrc=s=64x64:r=10:d=0.3,format=yuv420p10le,geq=lum={round(64 + 876 * signal)}:cb=512:cr=512,"
    source += f"setparams=color_trc={curve}:colorspace=bt2020nc:color_primaries=bt2020:range=tv"
    encoder = ["-c:v", "libx265", "-x265-params", "log-level=error"]
    subprocess.run([*FFMPEG, "-f", "lavfi", "-i", source, *encoder, path], check=True)
    with av.open(path) as container:
        by_pyav = int(next(container.decode(video=0)).to_ndarray(format="rgb24")[0, 0, 0])
    seen[curve] = level(path, "scale=32:32,format=gbrp"), by_pyav, level(path, CURVE)
    print("seen:    ", curve, "scale %d, PyAV %d, scale with out_transfer %d" % seen[curve])
recorded = {"arib-std-b67": (191, 189, 254), "smpte2084": (148, 146, 253)}
if any(abs(a - b) > 4 for curve in recorded for a, b in zip(recorded[curve], seen[curve], strict=True)):
    sys.exit("changed: a plain scale of HLG or PQ no longer gives the recorded grey")
print("as recorded")
E
