"""A disk that fills up under a command, in a process of its own: it mounts a file system in memory."""

import os
import subprocess
import sys

import pytest
from locations import ROOT

from bench.forked import PLACES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

COMMANDS = ("filter", "transcode", "train", "render", "t2v sample, mp4", "t2v export")


def test_commands_without_room_say_so_leave_nothing_half_written_and_go_on(reproduced):
    """Each with no room at all, with all but a page of what it takes, and with no file more."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system in memory")
    if any(ROOT.resolve().is_relative_to(place) for place in PLACES):
        pytest.skip("the project lies in a folder for temporary files, over which commands see the full disk")
    answer = subprocess.run(
        [sys.executable, "-m", "bench.full_disk", "--made", reproduced.folder, "--places", "0", "--only", *COMMANDS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    tried, told = answer.stdout.splitlines()[-1].split(" ", 1)
    assert told == "runs without room, 0 with a fault", answer.stdout
    assert int(tried) >= 2 * len(COMMANDS)
