"""Threads of torch that wait for each other leave the cores to others."""

import os
import subprocess
import sys

import pytest
from locations import ROOT

SHOWN = "OMP_WAIT_POLICY"


def show_policy(asked):
    """What OpenMP took over when torch was loaded by a stage, as it prints it on request itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_DISPLAY_ENV": "TRUE"} | asked
    run = subprocess.run(
        [sys.executable, "-c", "import stages.train_model"], env=environment, capture_output=True, text=True, check=True
    )
    lines = [line for line in run.stderr.splitlines() if SHOWN in line]
    if not lines:
        pytest.skip("this build of torch has an OpenMP that does not tell its settings")
    return {line.partition("=")[2].strip(" '") for line in lines}


@pytest.mark.parametrize(("asked", "policy"), [({}, "PASSIVE"), ({SHOWN: "ACTIVE"}, "ACTIVE")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(asked, policy):
    assert show_policy(asked) == {policy}
