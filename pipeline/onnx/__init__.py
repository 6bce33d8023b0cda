"""A generator as an ONNX graph: written by torch, read by onnxruntime."""

import os

# From 1.29 on, onnxruntime tells its makers what it runs, and leaves an id of the machine in the home folder as soon as
# it is imported. What it offers to switch that off comes too late; a user who wants it may set 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
