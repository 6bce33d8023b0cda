#!/usr/bin/env bash
# A dataset that `save_to_disk` wrote and that was copied only in part (a full disk, an interrupted download) is loaded without an
# error, with fewer rows: its files are Arrow streams, a stream that ends between two batches is read as a shorter one, and
# `load_from_disk` compares the rows with nothing. Parquet, whose index is at the end, and Arrow files with an index are refused.
#
# Seen on 2026-11-29 with datasets 5.2.0 and pyarrow 26.0.1; 3,000 rows in batches of 1,000, cut off after the first batch:
#   load_from_disk: 1,000 rows; pyarrow.ipc.open_stream: 1,000 rows; pyarrow.ipc.open_file on the same batches: ArrowInvalid
#
# What this project does: an Arrow stream has to end with the mark that its writer puts there; one without it is refused by name.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 numpy==2.4.6
export HF_HOME="$folder/home" HF_HUB_OFFLINE=1
cat > cut.py <<'P'
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.ipc

datasets.disable_progress_bars()
datasets.Dataset.from_dict({"caption": [f"caption {row}" for row in range(3000)]}).save_to_disk("set")
path = Path("set/data-00000-of-00001.arrow")
whole = path.read_bytes()
with pa.ipc.open_stream(whole) as stream:
    batches = list(stream)
starts = [place for place in range(0, len(whole), 8) if whole[place : place + 4] == b"\xff" * 4]  # of schema, batches, end
path.write_bytes(whole[: starts[2]])
loaded = len(datasets.load_from_disk("set"))
streamed = pa.ipc.open_stream(path.read_bytes()).read_all().num_rows
indexed = pa.BufferOutputStream()
with pa.ipc.new_file(indexed, batches[0].schema) as file:
    for batch in batches:
        file.write_batch(batch)
try:
    pa.ipc.open_file(indexed.getvalue()[: starts[2]])
    refused = "not refused"
except pa.ArrowInvalid:
    refused = "refused"
print(f"versions: datasets {datasets.__version__}, pyarrow {pa.__version__}")
print("expected: half of a saved dataset is refused, as half of a Parquet file is")
print(f"seen:     of 3000 rows in {len(batches)} batches, {loaded} are loaded, {streamed} are streamed; with an index: {refused}")
if (loaded, streamed, refused) != (1000, 1000, "refused"):
    sys.exit("changed: a dataset that is cut off is read in another way")
print("as recorded")
P
venv/bin/python cut.py
