"""The parts of the pipeline; docs/explanation/architecture.md says which there are."""

import os

# Threads of torch that wait for each other spin for microseconds and then sleep, unless the user says otherwise. By
# default they spin for milliseconds, and take the cores from all other work, and from the thread that they wait for.
# OpenMP reads this when torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
