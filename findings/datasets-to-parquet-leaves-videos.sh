#!/usr/bin/env bash
# Of one dataset with a column of videos, `save_to_disk` writes the videos into the table, and `to_parquet` does not: its cells have
# the paths of the files on the machine that wrote it, and null in place of the bytes. On another machine nothing is left of them.
#
# Seen on 2026-11-29 with datasets 5.2.0 and pyarrow 26.0.1; two files of 7 bytes as videos:
#   save_to_disk: 7 and 7 bytes; to_parquet: no bytes, absolute paths
#
# What this project does: what `save_to_disk` writes is read as it is; of Parquet cells without bytes the path counts, and the number
# of such cells is printed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 numpy==2.4.6
export HF_HOME="$folder/home" HF_HUB_OFFLINE=1
printf 'video 1' > 1.mp4
printf 'video 2' > 2.mp4
cat > write.py <<'P'
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

datasets.disable_progress_bars()
features = datasets.Features({"video": datasets.Video(decode=False)})
clips = datasets.Dataset.from_dict({"video": [str(Path(name).absolute()) for name in ("1.mp4", "2.mp4")]}, features=features)
clips.save_to_disk("set")
clips.to_parquet("set.parquet")
saved = pa.ipc.open_stream(Path("set/data-00000-of-00001.arrow").read_bytes()).read_all().column("video").to_pylist()
written = pq.read_table("set.parquet").column("video").to_pylist()
print(f"versions: datasets {datasets.__version__}, pyarrow {pa.__version__}")
print("expected: both files hold the videos")
kept = [[len(cell["bytes"] or b"") for cell in cells] for cells in (saved, written)]
local = all(cell["path"].startswith("/") for cell in written)
print(f"seen:     bytes by save_to_disk {kept[0]}, by to_parquet {kept[1]}; absolute paths there: {local}")
if kept != [[7, 7], [0, 0]] or not local:
    sys.exit("changed: save_to_disk or to_parquet treats videos in another way")
print("as recorded")
P
venv/bin/python write.py
