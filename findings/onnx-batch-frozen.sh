#!/usr/bin/env bash
# One module, three ways to say that the batch size is free when it is exported: `Dim("batch")`, the plain text "batch", and
# `Dim.AUTO`. Where `forward` asks for `len(z)`, the first gives a file that takes the example's batch alone, the last one
# whose output claims the example's batch, both without an error. With `z.shape[0]` in place of `len(z)` all three are right.
#
# Seen on 2026-11-28 with torch 2.13.0, onnx 1.23.2, onnxscript 0.7.2; input and output, the example had a batch of 3:
#   len(z):     Dim("batch"): [3, 4] -> [3, 2, 4]; "batch": [free, 4] -> [free, 2, 4]; Dim.AUTO: [free, 4] -> [3, 2, 4]
#   z.shape[0]: [free, 4] -> [free, 2, 4] all three times
#
# What this project does: the stage `export` runs each graph with several batch sizes before it is kept, and exports one for
# single clips where torch can do no better.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2
venv/bin/python - <<'E'
import logging
import sys
import warnings

import onnx
import torch
from torch.export import Dim

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)


class Generator(torch.nn.Module):
    def __init__(self, count):
        super().__init__()
        self.count = count
        self.layer = torch.nn.Linear(4, 8)

    def forward(self, z):
        return self.layer(z).reshape(self.count(z), 2, 4)


def shape(value):
    sides = [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
    return ["free" if isinstance(side, str) else side for side in sides]


print(f"versions: torch {torch.__version__}, onnx {onnx.__version__}")
print("expected: all six give [free, 4] -> [free, 2, 4]")
found = []
for written, count in {"len(z)": len, "z.shape[0]": lambda z: z.shape[0]}.items():
    for name, batch in {'Dim("batch")': Dim("batch"), '"batch"': "batch", "Dim.AUTO": Dim.AUTO}.items():
        generator, example = Generator(count).eval(), (torch.randn(3, 4),)
        program = torch.onnx.export(generator, example, dynamo=True, dynamic_shapes={"z": {0: batch}}, verbose=False)
        graph = program.model_proto.graph
        found.append((shape(graph.input[0]), shape(graph.output[0])))
        print(f"seen:     {written}, {name}: {found[-1][0]} -> {found[-1][1]}")
free = ["free", 4], ["free", 2, 4]
if found != [([3, 4], [3, 2, 4]), free, (["free", 4], [3, 2, 4]), free, free, free]:
    sys.exit("changed: the exported batch sizes are no longer the recorded ones")
print("as recorded")
E
