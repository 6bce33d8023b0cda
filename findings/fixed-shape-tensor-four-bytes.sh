#!/usr/bin/env bash
# Arrow's type for tensors of one shape, `arrow.fixed_shape_tensor`, is a fixed-size list. Parquet has no such thing and no 8-bit
# integer: every uint8 becomes a 32-bit integer in a list with levels. Plain, the file is four times the pixels, and
# reading it costs tens of times as much CPU as the same bytes in a fixed_size_binary column.
#
# Seen on 2026-11-28 with pyarrow 26.0.1; 64 clips of 16x64x64x3 random bytes, 12.6 MB:
#   as tensors, plain: 50.3 MB; as fixed_size_binary: 12.6 MB; reading: 20 to 80 times the CPU time
#
# What this project does: frames are fixed_size_binary, and their shape stands in the metadata of the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check pyarrow==26.0.1 numpy==2.4.6
venv/bin/python - <<'E'
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

frames = np.random.default_rng(0).integers(0, 256, (64, 16, 64, 64, 3), dtype=np.uint8)
binary = pa.binary(frames[0].nbytes)
columns = {
    "fixed_shape_tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(frames),
    "fixed_size_binary": pa.FixedSizeBinaryArray.from_buffers(binary, len(frames), [None, pa.py_buffer(frames)]),
}
sizes, seconds = {}, {}
for name, column in columns.items():
    pq.write_table(pa.table({"frames": column}), name, compression="none", use_dictionary=False)
    sizes[name] = Path(name).stat().st_size / frames.nbytes
    times = []
    for _ in range(5):
        start = time.process_time()
        pq.read_table(name)
        times.append(time.process_time() - start)
    seconds[name] = min(times)
print("versions:", ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "numpy")))
print("expected: a type made for tensors costs no more than plain bytes")
for name in columns:
    print(f"seen:     {name}: {sizes[name]:.2f} of the pixels, read in {1e3 * seconds[name]:.1f} ms of CPU")
slower = seconds["fixed_shape_tensor"] / seconds["fixed_size_binary"]
if not 3.9 < sizes["fixed_shape_tensor"] < 4.1 or slower < 5:
    sys.exit(f"changed: tensors take {sizes['fixed_shape_tensor']:.2f} of the pixels and {slower:.1f} times as long")
print("as recorded")
E
