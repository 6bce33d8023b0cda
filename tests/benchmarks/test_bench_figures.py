"""What the comparisons of many trainings share: the names that a call may choose."""

import subprocess
import sys

import pytest
from locations import ROOT


@pytest.mark.parametrize("arguments", [["methods", "toys=.", "--methods", "layres"], ["quality", "--builds", "layres"]])
def test_a_name_that_is_not_there_is_refused(tmp_path, arguments):
    bench, *asked = arguments
    command = [sys.executable, "-m", f"bench.{bench}", *asked, "--out", str(tmp_path / "out.json")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "layres: not in" in ended.stderr
    assert "Traceback" not in ended.stderr
