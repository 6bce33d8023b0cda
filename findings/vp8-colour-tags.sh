#!/usr/bin/env bash
# A WebM file says in its header which matrix and which range its colours have. FFmpeg's VP8 decoder overwrites both with
# what the VP8 bit stream can say, which is always BT.601 and, here, limited range; the VP9 decoder keeps them. So a VP8 file
# that is tagged BT.709 or full range, as browsers record it, is decoded with wrong colours once the first frame is out.
#
# Seen on 2026-11-28 with PyAV 18.1.0 (FFmpeg 8.1.2), imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2); (matrix, range), 1 is BT.709,
# 5 is BT.601 (625 lines); range 1 is limited, 2 is full:
#   vp8: before decoding (1, 2), frame (5, 1), decoder after the first frame (5, 1); vp9: (1, 2) throughout
#
# What this project does: the tags of the container are taken before the first frame is decoded, and win where the frames
# state none (tests/video/test_colour.py).
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

TAGS = ["-colorspace", "bt709", "-color_range", "pc", "-color_primaries", "bt709", "-color_trc", "bt709"]
SOURCE = "testsrc2=s=64x64:r=10:d=0.3,scale=out_color_matrix=bt709:out_range=full,format=yuv420p"


def tags(thing):
    return int(thing.colorspace), int(thing.color_range)


print(f"versions: av {av.__version__}, FFmpeg {imageio_ffmpeg.get_ffmpeg_version()}")
print("expected: (1, 2), as in the container, before and after decoding, whatever the codec")
found = {}
for codec in ("libvpx", "libvpx-vp9"):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i", SOURCE, "-c:v", codec, *TAGS]
    subprocess.run([*command, "clip.webm"], check=True)
    with av.open("clip.webm") as container:
        decoder = container.streams.video[0].codec_context
        before = tags(decoder)
        frame = next(container.decode(video=0))
        found[codec] = before, tags(frame), tags(decoder)
    print("seen:    ", codec, "before %s, frame %s, decoder after the first frame %s" % found[codec])
if found != {"libvpx": ((1, 2), (5, 1), (5, 1)), "libvpx-vp9": ((1, 2), (1, 2), (1, 2))}:
    sys.exit("changed: the VP8 decoder no longer overwrites the tags of the container in the recorded way")
print("as recorded")
E
