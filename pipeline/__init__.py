"""The packages of the pipeline; docs/explanation/architecture.md describes them."""

import os

# Let waiting OpenMP threads of torch spin for microseconds before they sleep, unless the user sets a policy. By default
# they spin for milliseconds, which takes cores from other work, even from the thread that they wait for. OpenMP reads
# this when torch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# From 1.29, onnxruntime sends telemetry, and writes an id of the machine to the home folder when it is imported. Its
# API to disable that takes effect too late. Users who want telemetry can set 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
