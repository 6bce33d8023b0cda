"""Threads of torch that wait for each other leave the cores to others before long."""

import os
import subprocess
import sys

import pytest
from locations import ROOT

NAME = "GOMP_SPINCOUNT"


def show_spins(asked, stage):
    """How often a thread looks before it sleeps, as OpenMP prints it on request when the stage loads torch."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_DISPLAY_ENV": "VERBOSE"} | asked
    run = subprocess.run(
        [sys.executable, "-c", f"import stages.{stage}"], env=environment, capture_output=True, text=True, check=True
    )
    lines = [line for line in run.stderr.splitlines() if NAME in line]
    if not lines:
        pytest.skip("this build of torch has an OpenMP that does not tell its settings")
    return {line.partition("=")[2].strip(" '") for line in lines}


def test_waiting_threads_soon_sleep():
    assert show_spins({}, "train_model") == {"2000"}


@pytest.mark.parametrize(("asked", "spins"), [({"OMP_WAIT_POLICY": "PASSIVE"}, "0"), ({NAME: "7"}, "7")])
def test_what_the_user_says_holds(asked, spins):
    assert show_spins(asked, "train_judge") == {spins}  # whose imports take half as long as those of `train`
