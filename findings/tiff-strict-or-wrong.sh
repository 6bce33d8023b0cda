#!/usr/bin/env bash
# FFmpeg decodes TIFF images either wrongly or hardly at all. By default, an image that is stored as JPEG inside TIFF, as Pillow
# writes it with compression="jpeg", comes out as other pixels, without an error. With strict error detection it is refused, but so is
# any image that states its resolution or has XMP metadata: the decoder counts tags that it does not know as damage.
#
# Seen on 2026-11-30 with av 18.1.0 (FFmpeg 8.1.2) and pillow 13.0.0, an image of 96x64 pixels; mean difference from Pillow in grey levels:
#   LZW: 0 both ways; JPEG: 89.5 by default, refused if strict; LZW with a resolution, LZW with XMP: 0 by default, refused if strict
#
# What this project does: it decodes strictly, from a copy with only the tags about the layout of the pixels, and refuses JPEG in TIFF.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check av==18.1.0 numpy==2.4.6 pillow==13.0.0
cat > read.py <<'P'
import io
import sys

import av
import numpy as np
import PIL
from PIL import Image, TiffImagePlugin

STRICT = {"err_detect": "crccheck+explode"}


def save(**options):
    y, x = np.mgrid[:64, :96]
    file = io.BytesIO()
    Image.fromarray(np.stack([2 * x, 3 * y, x + y], -1).astype(np.uint8)).save(file, "TIFF", **options)
    return file.getvalue()


def compare(content, options):
    decoder = av.CodecContext.create("tiff", "r")
    decoder.options = options
    try:
        frame = [*decoder.decode(av.Packet(content)), *decoder.decode(None)][0]
    except av.error.InvalidDataError:
        return "refused"
    wanted = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    return f"{np.abs(frame.to_ndarray(format='rgb24') - wanted).mean():.1f}"


xmp = TiffImagePlugin.ImageFileDirectory_v2()
xmp[700] = b"<xmp/>"
images = {
    "LZW": save(compression="tiff_lzw"),
    "JPEG": save(compression="jpeg"),
    "LZW with a resolution": save(compression="tiff_lzw", dpi=(72, 72)),
    "LZW with XMP": save(compression="tiff_lzw", tiffinfo=xmp),
}
seen = {name: (compare(content, {}), compare(content, STRICT)) for name, content in images.items()}
print(f"versions: av {av.__version__}, {av.ffmpeg_version_info}, pillow {PIL.__version__}")
print("expected: the pixels that Pillow reads (a difference below 2.0), or an error for what is not supported, either way")
for name, (usual, strict) in seen.items():
    print(f"seen:     {name}: {usual} by default, {strict} if strict")
wrong = float(seen["JPEG"][0]) > 20 and seen["JPEG"][1] == "refused"
both = ("0.0", "refused")
if not (wrong and seen["LZW"] == ("0.0", "0.0") and seen["LZW with a resolution"] == both and seen["LZW with XMP"] == both):
    sys.exit("changed: TIFF images are read in another way")
print("as recorded")
P
venv/bin/python read.py
