#!/usr/bin/env bash
# From one seed, `torch.randn(15)` and the first 15 values of `torch.randn(16)` have nothing in common on a CPU: from 16
# values on another method draws them, and it draws the last 16 of a tensor once more when the length is no multiple of 16.
# So a longer draw does not continue a shorter one, while `torch.rand` has that property.
#
# Seen on 2026-11-28 with torch 2.13.0 (CPU); equal values at the start:
#   randn 15 in 16: 0 of 15; randn 20 in 32: 4 of 20; randn 16 in 32: 16 of 16; rand 15 in 16: 15 of 15
#
# What this project does: the noise of sample N comes from a generator that is seeded for that row alone, so that asking for
# more samples keeps the first ones.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'E'
import sys

import torch


def common(draw, fewer, more):
    values = []
    for count in (fewer, more):
        torch.manual_seed(17)
        values.append(draw(count))
    return int((values[0] == values[1][:fewer]).sum())


print(f"versions: torch {torch.__version__}")
print("expected: with one seed the shorter draw is the beginning of the longer one")
found = []
for draw, fewer, more in ((torch.randn, 15, 16), (torch.randn, 20, 32), (torch.randn, 16, 32), (torch.rand, 15, 16)):
    found.append(common(draw, fewer, more))
    print(f"seen:     {draw.__name__}({fewer}) shares {found[-1]} of {fewer} values with the start of {draw.__name__}({more})")
if found != [0, 4, 16, 15]:
    sys.exit("changed: shorter and longer draws no longer differ in the recorded way")
print("as recorded")
E
