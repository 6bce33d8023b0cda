#!/usr/bin/env bash
# AVI has no times of showing: FFmpeg works out those of H.264 and of packed MPEG-4 from the order of decoding. Asked to fill
# in what is missing (the flag `genpts`, which PyAV always sets), it makes up times that go back and forth, on frames that
# come out in the right order. Whoever sorts or chooses frames by `frame.pts` mixes them up. Without the flag the frames have
# none, and the ffmpeg program, which goes by the order of decoding where the others are missing, has all of them in order.
#
# Seen on 2026-11-28 with PyAV 18.1.0 (FFmpeg 8.1.2), imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2), first eight of 24 frames:
#   PyAV: 1 4 3 5 2 8 7 9; with fflags=-genpts: None throughout; program: 2 3 4 5 6 7 8 9
#
# What this project does: files are opened without the flag, and stamps are guessed as the program does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check \
	av==18.1.0 imageio-ffmpeg==0.8.1
venv/bin/python - <<'E'
import re
import subprocess
import sys

import av
import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
print(f"versions: av {av.__version__}, FFmpeg {imageio_ffmpeg.get_ffmpeg_version()}")
source = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=10", "-frames:v", "24"]
subprocess.run([FFMPEG, "-v", "error", "-y", *source, "-c:v", "libx264", "-threads", "1", "clip.avi"], check=True)


def stamps(**options):
    with av.open("clip.avi", options=options) as container:
        container.streams.video[0].thread_count = 1
        return [frame.pts for frame in container.decode(video=0)]


filled, bare = stamps(), stamps(fflags="-genpts")
listed = subprocess.run(
    [FFMPEG, "-hide_banner", "-copyts", "-i", "clip.avi", "-vf", "showinfo", "-fps_mode", "passthrough", "-f", "null", "-"],
    capture_output=True, text=True, check=True,
).stderr  # fmt: skip
program = [int(stamp) for stamp in re.findall(r" n: *\d+ pts: *(\d+)", listed)]
print("expected: 24 times in order")
print("seen:     PyAV", *filled[:8], "...")
print("          with fflags=-genpts", *bare[:3], "...")
print("          program", *program[:8], "...")
if filled == sorted(filled) or set(bare) != {None} or program != sorted(program) or len(program) != 24:
    sys.exit("changed: the made-up times of H.264 in AVI are no longer out of order in the recorded way")
print("as recorded")
E
