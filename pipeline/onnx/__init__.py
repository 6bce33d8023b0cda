"""A generator as an ONNX graph: written by torch, read by onnxruntime."""

import os

# From 1.29 on, onnxruntime reports to its makers what it runs, and writes an id of the machine to the home folder as
# soon as it is imported. Its own switch for that comes too late; a user who wants the reports may set 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
