"""Small valid files of every kind, as seeds of the fuzzer."""

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
import pyarrow as pa
import pyarrow.ipc

from pipeline.records import Drop
from pipeline.shards import write_shard
from pipeline.tables import write_table
from pipeline.video.ffmpeg import run

VIDEOS: dict[str, dict[str, Any]] = {  # name -> options of ffmpeg's output
    "vp9.webm": {"vcodec": "libvpx-vp9", "deadline": "realtime"},
    "vp8.webm": {"vcodec": "libvpx", "deadline": "realtime"},
    "av1.mkv": {"vcodec": "libaom-av1", "cpu-used": 8},
    "ffv1.mkv": {"vcodec": "ffv1"},
    "h264.mp4": {"vcodec": "libx264", "pix_fmt": "yuv420p"},
    "pieces.mp4": {"vcodec": "libx264", "pix_fmt": "yuv420p", "movflags": "frag_keyframe+empty_moov", "g": 4},
    "hevc.mp4": {"vcodec": "libx265", "pix_fmt": "yuv420p", "x265-params": "log-level=error"},
    "av1.mp4": {"vcodec": "libaom-av1", "cpu-used": 8},
    "ten.mp4": {"vcodec": "libx264", "pix_fmt": "yuv420p10le"},
    "alpha.webm": {"vcodec": "libvpx-vp9", "deadline": "realtime", "pix_fmt": "yuva420p"},
    "prores.mov": {"vcodec": "prores"},
    "mjpeg.mov": {"vcodec": "mjpeg"},
    "rle.mov": {"vcodec": "qtrle"},
    "mjpeg.avi": {"vcodec": "mjpeg"},
    "mpeg4.avi": {"vcodec": "mpeg4"},
    "ffvhuff.avi": {"vcodec": "ffvhuff"},
    "cinepak.avi": {"vcodec": "cinepak", "s": "64x48"},
    "h264.ts": {"vcodec": "libx264", "pix_fmt": "yuv420p"},
    "mpeg2.mpg": {"vcodec": "mpeg2video", "r": 25},
    "flv1.flv": {"vcodec": "flv"},
    "h264.flv": {"vcodec": "libx264", "pix_fmt": "yuv420p"},
    "theora.ogv": {"vcodec": "libtheora"},
    "wmv2.wmv": {"vcodec": "wmv2"},
    "picture.gif": {},
    "picture.apng": {"plays": 0},
    "picture.webp": {"vcodec": "libwebp_anim"},
}
TEMPLATE = "Pushing [something]"
ROWS: list[dict[str, Any]] = [
    {"id": str(n), "path": f"{n}.mp4", "label": "pushing a cup", "template": TEMPLATE, "placeholders": ["a cup"]}
    for n in range(3)
]
EAF = """<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds">
<MEDIA_DESCRIPTOR MEDIA_URL="file:///a.mp4" MIME_TYPE="video/mp4"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="900"/></TIME_ORDER>
<TIER TIER_ID="action"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t2">
<ANNOTATION_VALUE>push</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>
"""
CVAT = """<annotations><meta><task><id>1</id><name>t</name><mode>interpolation</mode><source>a.mp4</source>
<original_size><width>9</width><height>9</height></original_size></task></meta>
<track id="0" label="cup"><box frame="0" outside="0" xtl="1" ytl="1" xbr="2" ybr="2"/>
<box frame="5" outside="1" xtl="1" ytl="1" xbr="2" ybr="2"/></track></annotations>
"""
TEXTS = {
    "labels/rows.json": json.dumps(ROWS),
    "labels/rows.jsonl": "\n".join(map(json.dumps, ROWS)),
    "labels/rows.csv": "id,path,label\n" + "".join(f"{row['id']},{row['path']},{row['label']}\n" for row in ROWS),
    "labels/one.eaf": EAF,
    "labels/task.xml": CVAT,
    "vectors/words.txt": "2 3\na 0.1 0.2 0.3\nb 1 2 3\n",
}
MEMBERS = {"x.mp4": b"video" * 100, "x.txt": b"pushing a cup", "y.mp4": b"other" * 100, "y.txt": b"up"}
KINDS = ("labels", "vectors", "shards", "videos")


def draw_seeds(folder: Path) -> dict[str, list[Path]]:
    """Write the seeds -> their paths by kind: `labels`, `vectors`, `shards` and `videos`."""
    for name, text in TEXTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    rows = [Drop(row["path"], "too_short", row["label"]) for row in ROWS]
    write_table(folder / "labels" / "rows.parquet", Drop, rows)
    _write_tables(folder / "labels")
    _write_archives(folder / "labels")
    frames = np.arange(3 * 8 * 16 * 16 * 3, dtype=np.uint8).reshape(3, 8, 16, 16, 3)
    for ending in ("parquet", "npz"):
        write_shard(folder / "shards" / f"clips.{ending}", [(str(n), "a cup", frames[n]) for n in range(3)])
    (folder / "videos").mkdir(exist_ok=True)
    for name, options in VIDEOS.items():
        drawing = ffmpeg.input("testsrc2=s=64x48:r=12", f="lavfi")
        run(drawing.output(str(folder / "videos" / name), **{"frames:v": 12, "threads": 1, **options}), seconds=60)
    return {kind: sorted((folder / kind).iterdir()) for kind in KINDS}


def _write_tables(folder: Path) -> None:
    """Arrow tables with videos, in the stream and the file format."""
    cells = [{"bytes": content, "path": name} for name, content in MEMBERS.items()]
    table = pa.table({"video": cells, "caption": [f"pushing {name}" for name in MEMBERS]})
    for name, open_file in (("stream.arrow", pa.ipc.new_stream), ("file.arrow", pa.ipc.new_file)):
        with open_file(str(folder / name), table.schema) as file:
            file.write_table(table, max_chunksize=2)


def _write_archives(folder: Path) -> None:
    with zipfile.ZipFile(folder / "task.zip", "w", zipfile.ZIP_DEFLATED) as task:
        task.writestr("annotations.xml", CVAT)
    with tarfile.open(folder / "set.tar", "w") as tar, zipfile.ZipFile(folder / "set.zip", "w") as zipped:
        for name, content in MEMBERS.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
            zipped.writestr(name, content)
