#!/usr/bin/env bash
# A clip stored as raw bytes in a Parquet column often ends in zeros: its last pixels are black. fastparquet, and Hugging
# Face datasets in the formats numpy and torch, hand such values out through NumPy's S type, which strips zeros at the end.
# The value arrives shorter, without an error, also from a column whose type fixes its width.
#
# Seen on 2026-11-28 with pyarrow 26.0.1, fastparquet 2026.9.0, datasets 5.2.0, pandas 3.1.1; bytes of two clips of 6 bytes:
#   pandas with pyarrow: [6, 6]; fastparquet: [3, 6]; datasets plain: [6, 6], numpy: [3, 6], torch: [3, 6]
#
# What this project does: shards are read through Arrow's buffers, whose width is checked against the shape of the clips.
# Who reads the shards with other programs should compare the length of a value with T*H*W*3 and add the zeros.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check \
	pyarrow==26.0.1 fastparquet==2026.9.0 datasets==5.2.0 pandas==3.1.1 torch==2.13.0 numpy==2.4.6
HF_HUB_OFFLINE=1 HF_HOME="$folder" venv/bin/python - <<'E'
import sys
from importlib.metadata import version

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset
from fastparquet import ParquetFile

clips = [bytes([9, 8, 7, 0, 0, 0]), bytes([1, 2, 3, 4, 5, 6])]
pq.write_table(pa.table({"frames": pa.array(clips, pa.binary(6))}), "clips.parquet")
dataset = Dataset(pq.read_table("clips.parquet"))
values = {
    "pandas with pyarrow": pd.read_parquet("clips.parquet", engine="pyarrow")["frames"],
    "fastparquet": ParquetFile("clips.parquet").to_pandas()["frames"],
    "datasets, plain": dataset[:]["frames"],
    "datasets, numpy": dataset.with_format("numpy")[:]["frames"],
    "datasets, torch": dataset.with_format("torch")[:]["frames"],
}
names = ("pyarrow", "fastparquet", "datasets", "pandas", "numpy", "torch")
print("versions:", ", ".join(f"{name} {version(name)}" for name in names))
print("expected: every reader gives two values of 6 bytes, since the column is fixed_size_binary(6)")
lengths = {name: [len(value) for value in column] for name, column in values.items()}
for name, found in lengths.items():
    print(f"seen:     {name}: {found}")
if list(lengths.values()) != [[6, 6], [3, 6], [6, 6], [3, 6], [3, 6]]:
    sys.exit("changed: these readers no longer cut trailing zeros in the recorded way")
print("as recorded")
E
