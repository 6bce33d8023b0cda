#!/usr/bin/env bash
# A trace of torch's profiler for which the disk has no room: `export_chrome_trace` returns as usual. A long trace is not there, and the
# part that was written stays under another name; one that lacks only its last buffer is there, cut off. A second call does not
# help, since a trace can be saved only once.
#
# Seen on 2026-12-01 with torch 2.13.0 (CPU), a limit on the size of files in place of a full disk (Python's own write raises
# OSError there); likewise on a file system of 16 KiB:
#   limit of 16 KiB, 200 operations: no exception, no trace.json, and trace.json.tmp of 16,384 bytes
#   limit of 2 KiB, one operation: no exception, and trace.json of 2,048 bytes, which is no JSON
#
# What this project does: where steps are profiled, the file has to be there and to end as JSON; otherwise a message says so, and the part is removed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat > trace.py << 'PYTHON'
import os
import resource
import signal
import sys

import torch
from torch.profiler import ProfilerActivity, profile

operations, limit = map(int, sys.argv[1:])
with profile(activities=[ProfilerActivity.CPU]) as traced:
    for _ in range(operations):
        torch.ones(4) + 1
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writes fail, and do not end the process
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
folder = f"made-{operations}"
os.mkdir(folder)
try:
    traced.export_chrome_trace(f"{folder}/trace.json")
    print("no exception", *(f"{name} {os.path.getsize(f'{folder}/{name}')}" for name in os.listdir(folder)))
except OSError as error:
    print(error)
PYTHON
echo "versions: torch $(venv/bin/python -c 'import torch; print(torch.__version__)')"
long=$(venv/bin/python trace.py 200 16384 2> /dev/null)
short=$(venv/bin/python trace.py 1 2048 2> /dev/null)
echo "expected: an OSError, or a whole trace.json"
echo "seen:     $long; $short"
[ "$long; $short" = "no exception trace.json.tmp 16384; no exception trace.json 2048" ] ||
  { echo "changed: a trace on a full disk ends in another way" >&2; exit 1; }
echo "as recorded"
