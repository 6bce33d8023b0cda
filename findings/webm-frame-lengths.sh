#!/usr/bin/env bash
# A frame of FFmpeg has a length (`frame.duration`), also where its container states none: then it is made up of the lowest
# rate that fits the first times, or of a default rate in the header. A slide show in WebM, of pictures at 0, 2 and 5 seconds,
# has three frames of 40 ms each. The sum of the lengths is no length of the video, and the last picture has no length at all.
#
# Seen on 2026-11-28 with PyAV 18.1.0 (FFmpeg 8.1.2), imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2):
#   times 0 2000 5000 ms, lengths 40 40 40 ms; in GIF: times 0 200 500, lengths 200 300 and one of its own, as stored
#
# What this project does: lengths count only if those of most frames reach to the next frame; the end of a video is read from
# the header.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check \
	av==18.1.0 imageio-ffmpeg==0.8.1
venv/bin/python - <<'E'
import subprocess
import sys

import av
import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
print(f"versions: av {av.__version__}, FFmpeg {imageio_ffmpeg.get_ffmpeg_version()}")
print("expected: a frame lasts until the next one is shown")
found = {}
for name, codec in (("clip.webm", ["-c:v", "libvpx"]), ("clip.gif", [])):
    times = "setpts='(2*eq(N,1)+5*eq(N,2))/TB'"
    source = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25", "-frames:v", "3", "-vf", times, "-fps_mode", "vfr"]
    subprocess.run([FFMPEG, "-v", "error", "-y", *source, *codec, name], check=True)
    with av.open(name) as container:
        found[name] = [(frame.pts, frame.duration) for frame in container.decode(video=0)]
    print("seen:    ", name, "times and lengths", *found[name])
if found["clip.webm"] != [(0, 40), (2000, 40), (5000, 40)] or found["clip.gif"][:2] != [(0, 200), (200, 300)]:
    sys.exit("changed: lengths of frames that WebM does not state are no longer made up in the recorded way")
print("as recorded")
E
