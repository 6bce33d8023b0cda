#!/usr/bin/env bash
# A Parquet column of `string` and `fixed_size_binary` read and written again by another program comes back to pyarrow as another
# type, since each program writes its own types, or its own Arrow schema beside them: without a width from DuckDB and pandas,
# large from Polars, as views from DataFusion. The bytes are the same. Code that compares types, or that calls
# np.frombuffer on the second buffer of the array, refuses such files or reads nonsense.
#
# Seen on 2026-11-28 with duckdb 2.0.1, polars 2.1.0, datafusion 55.0.0, pandas 3.1.1, pyarrow 26.0.1:
#   written: string, fixed_size_binary[6]; duckdb: string, binary; polars: large_string, large_binary
#   pandas: large_string, binary; datafusion: string_view, fixed_size_binary[6], and binary_view for its own type of bytes
#
# What this project does: the reader takes every type that holds bytes, and casts it to the width of a clip, which checks it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check \
	duckdb==2.0.1 polars==2.1.0 datafusion==55.0.0 pandas==3.1.1 pyarrow==26.0.1
venv/bin/python - <<'E'
import sys
from importlib.metadata import version

import datafusion
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

clips = [bytes([9, 8, 7, 0, 0, 0]), bytes([1, 2, 3, 4, 5, 6])]
pq.write_table(pa.table({"id": ["a", "b"], "frames": pa.array(clips, pa.binary(6))}), "clips.parquet")
duckdb.connect().execute("copy (from 'clips.parquet' order by id) to 'duckdb.parquet' (format parquet)")
pl.read_parquet("clips.parquet").write_parquet("polars.parquet")
pd.read_parquet("clips.parquet").to_parquet("pandas.parquet")
context = datafusion.SessionContext()
context.register_parquet("clips", "clips.parquet")
for name, value in {"datafusion": "frames", "datafusion_bytes": "arrow_cast(frames, 'BinaryView') as frames"}.items():
    table = context.sql(f"select id, {value} from clips order by id").write_parquet_with_options
    table(f"{name}.parquet", datafusion.ParquetWriterOptions())
found = {}
for name in ("clips", "duckdb", "polars", "pandas", "datafusion", "datafusion_bytes"):
    table = pq.read_table(f"{name}.parquet")
    assert table["frames"].to_pylist() == clips, name
    found[name] = tuple(str(table.schema.field(column).type) for column in ("id", "frames"))
names = ("duckdb", "polars", "datafusion", "pandas", "pyarrow")
print("versions:", ", ".join(f"{name} {version(name)}" for name in names))
print("expected: string and fixed_size_binary[6] from each, as in the file that they read")
for name, types in found.items():
    print(f"seen:     {name}: {', '.join(types)}")
recorded = {
    "clips": ("string", "fixed_size_binary[6]"),
    "duckdb": ("string", "binary"),
    "polars": ("large_string", "large_binary"),
    "pandas": ("large_string", "binary"),
    "datafusion": ("string_view", "fixed_size_binary[6]"),
    "datafusion_bytes": ("string_view", "binary_view"),
}
if found != recorded:
    sys.exit("changed: these programs write other types than recorded")
print("as recorded")
E
