#!/usr/bin/env bash
# Going through a DataLoader takes a number from torch's global generator even with `shuffle=False` and no workers: each new
# iterator draws a base seed. So a validation pass, or one more look at the data, changes all noise that training draws
# afterwards, and runs with the same seed part ways at the first validation. A loader with a generator of its own does not.
#
# Seen on 2026-11-28 with torch 2.13.0 (CPU):
#   noise after no pass == noise after a pass: False; with generator=torch.Generator(): True
#
# What this project does: batches are chosen by a function of seed and step, without a DataLoader, so measuring in the middle
# of a training leaves its bytes as they are.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'E'
import sys

import torch
from torch.utils.data import DataLoader, TensorDataset


def noise_after(passes, generator=None):
    loader = DataLoader(TensorDataset(torch.arange(8.0)), batch_size=4, shuffle=False, num_workers=0, generator=generator)
    torch.manual_seed(17)
    for _ in range(passes):
        list(loader)
    return torch.randn(4)


print(f"versions: torch {torch.__version__}")
print("expected: a pass in fixed order, in this process, leaves the global generator alone")
shared = torch.equal(noise_after(0), noise_after(1))
own = torch.equal(noise_after(0), noise_after(1, torch.Generator()))
print(f"seen:     noise is the same after a pass: {shared}; where the loader has its own generator: {own}")
if (shared, own) != (False, True):
    sys.exit("changed: a pass through a DataLoader no longer draws from the global generator")
print("as recorded")
E
