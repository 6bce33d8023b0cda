"""A generator as an ONNX graph: written by torch, read by onnxruntime."""

import os

# From 1.29, onnxruntime sends telemetry, and writes an id of the machine to the home folder when it is imported. Its
# API to disable that takes effect too late. Users who want telemetry can set 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
