"""Nobody is told of what onnxruntime runs."""

import os
import subprocess
import sys

from projects import ROOT


def test_onnxruntime_leaves_nothing_in_the_home_folder_and_sends_nothing(tmp_path):
    """Run without the variables of continuous checks, under which onnxruntime is silent anyway."""
    environment = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-B", "-c", "import pipeline.onnx"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
