#!/usr/bin/env bash
# ClickHouse (here chdb, the same engine as a package) reads a Parquet column of fixed width as FixedString and keeps every byte.
# A FixedString becomes a String without the zeros at its end: where the structure of the file is given with the type String,
# as its documentation shows it, and by toString(). A clip that ends in black comes out shorter, without an error.
# Given with its true type, FixedString(577), the structure is refused as suspicious from 257 bytes on.
#
# Seen on 2026-11-28 with chdb 4.4.0 (engine 26.9), pyarrow 26.0.1; bytes of three values of a column of 6 bytes:
#   read by the file's own schema: [6, 6, 6]; given as String: [3, 6, 0]; toString(): [3, 6, 0]
#   as 'FixedString(577)': Code 44, "fixed string with size > 256 is suspicious"
#
# What this project does: docs/reference/shards.md names the call that reads right: no structure, and hex() or Arrow for output.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check chdb==4.4.0 pyarrow==26.0.1
venv/bin/python - <<'E'
import sys
from importlib.metadata import version

import chdb
import pyarrow as pa
import pyarrow.parquet as pq

clips = [bytes([9, 8, 7, 0, 0, 0]), bytes([1, 2, 3, 4, 5, 6]), bytes(6)]
pq.write_table(pa.table({"id": [0, 1, 2], "frames": pa.array(clips, pa.binary(6))}), "clips.parquet")


def lengths(value, structure=""):
    source = f"file('clips.parquet', Parquet{structure})"
    return [int(line) for line in str(chdb.query(f"select length({value}) from {source} order by id")).split()]


as_string = ", 'id Int64, frames String'"
found = [lengths("frames"), lengths("frames", as_string), lengths("toString(frames)")]
pq.write_table(pa.table({"id": [0], "frames": pa.array([bytes(577)], pa.binary(577))}), "clips.parquet")
try:
    refused = f"read: {lengths('frames', chr(44) + chr(39) + 'id Int64, frames FixedString(577)' + chr(39))}"
except RuntimeError as error:
    refused = "refused" if "size > 256 is suspicious" in str(error) else str(error)
print("versions:", ", ".join(f"{name} {version(name)}" for name in ("chdb", "pyarrow")))
print("expected: three values of 6 bytes each time, since the column is fixed_size_binary(6)")
for name, values in zip(("schema of the file", "given as String", "toString()"), found, strict=True):
    print(f"seen:     {name}: {values}")
print(f"          given as FixedString(577): {refused}; by the schema of the file: {lengths('frames')}")
if (found, refused) != ([[6, 6, 6], [3, 6, 0], [3, 6, 0]], "refused"):
    sys.exit("changed: ClickHouse no longer cuts zeros where a FixedString becomes a String")
print("as recorded")
E
