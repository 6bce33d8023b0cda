"""The parts of the pipeline; docs/explanation/architecture.md says which there are."""

import os

# Threads of torch that wait for each other sleep, unless the user says otherwise. Spinning ones take the cores from all
# else that runs on the machine, and from the thread that they wait for. OpenMP reads this when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
