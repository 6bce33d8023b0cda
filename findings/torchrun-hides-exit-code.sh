#!/usr/bin/env bash
# A training that stops early and says so by its exit code (75, "try again later", after it saved a checkpoint on SIGTERM) ends with
# 1 under torchrun, whatever its code was: a job script that would submit it again cannot tell an interruption from a crash.
#
# Seen on 2026-11-29 with torch 2.13.0 (CPU), one process: a script that ends with 75 by itself, and with 1 under torchrun.
#
# What this project does: the page on several devices says so, and the same command goes on from the checkpoint after either code.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
echo 'raise SystemExit(75)' > interrupted.py
code() { "$@" > log 2>&1 && echo 0 || echo $?; }
alone=$(code venv/bin/python interrupted.py)
launched=$(code venv/bin/torchrun --nproc-per-node=1 --max-restarts=0 interrupted.py)
echo "versions: torch $(venv/bin/python -c 'import torch; print(torch.__version__)')"
echo "expected: the launcher of one process ends with the code of that process"
echo "seen:     by itself $alone, under torchrun $launched"
[ "$alone $launched" = "75 1" ] || { echo "changed: torchrun ends with another code" >&2; exit 1; }
echo "as recorded"
