#!/usr/bin/env bash
# How far is a clip from its own copy? Exactly 0, until the question is asked for many at once: from 26 rows on torch.cdist,
# and for large batches of queries faiss' exact index IndexFlatL2, compute |a|^2 - 2ab + |b|^2 in float32, and rounding leaves
# a distance. A search for memorised clips that looks for 0, or divides by the nearest distance, depends on the batch.
#
# Seen on 2026-11-28 with torch 2.13.0 (CPU), faiss-cpu 1.15.1; rows of 4,096 values from 0 to 255, largest distance to itself:
#   torch.cdist of 25 rows 0, of 26 rows 5.66; without matrix products 0
#   faiss (squared) of 1 query 0, of 200 queries 48
#
# What this project does: nearest clips are found by products of matrices or faiss, but of centred values, and how far they
# are is computed anew in float64 as the length of the difference.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0 faiss-cpu==1.15.1 numpy==2.4.6
venv/bin/python - <<'E'
import sys

import faiss
import torch

torch.manual_seed(17)
clips = torch.rand(200, 4096) * 255
index = faiss.IndexFlatL2(4096)
index.add(clips.numpy())
exact = "donot_use_mm_for_euclid_dist"
largest = {
    "torch.cdist, 25 rows": torch.cdist(clips[:25], clips[:25]).diagonal().max().item(),
    "torch.cdist, 26 rows": torch.cdist(clips[:26], clips[:26]).diagonal().max().item(),
    "torch.cdist, 26 rows, no products": torch.cdist(clips[:26], clips[:26], compute_mode=exact).diagonal().max().item(),
    "faiss IndexFlatL2, 1 query": float(index.search(clips[:1].numpy(), 1)[0].max()),
    "faiss IndexFlatL2, 200 queries": float(index.search(clips.numpy(), 1)[0].max()),
}
print(f"versions: torch {torch.__version__}, faiss {faiss.__version__}")
print("expected: 0 for a row and itself, however many rows there are")
for name, distance in largest.items():
    print(f"seen:     {name}: {distance:.3g}")
if [distance > 0 for distance in largest.values()] != [False, True, False, False, True]:
    sys.exit("changed: the distance of a row to itself no longer depends on the number of rows as recorded")
print("as recorded")
E
