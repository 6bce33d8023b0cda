"""Methods at equal CPU time: every cell is trained on the clips that it says, and none is made twice."""

import json
import subprocess
import sys

import pytest
from locations import ROOT

from pipeline.records import Clip
from pipeline.tables import read_table

pytestmark = pytest.mark.usefixtures("bench_is_importable")

CELL = {"two_sample_frames": 0.9, "coverage": 0.5, "coverage_of_real_val": 0.7, "clips_shown": 800}


def test_the_table_has_a_line_for_each_method_and_number_of_clips():
    from bench.methods_page import write_table

    cells = {
        "film/8min/layers/all/17": CELL | {"coverage": 0.4},
        "film/8min/layers/all/18": CELL | {"coverage": 0.6},
        "film/30min/flow/100/17-4": CELL,
    }
    head, _, real, layers, flow = write_table(cells)
    assert head == "| method | CPU minutes | clips | seeds | shown | frames | coverage |"
    assert real == "| real clips of val | | | | | n/a | 0.70 |"
    assert layers == "| layers | 8 | all | 2 | 800 | 0.90 (0.90 to 0.90) | 0.50 (0.40 to 0.60) |"
    assert flow == "| flow, steps: 4 | 30 | 100 | 1 | 800 | 0.90 | 0.50 |"


@pytest.mark.slow
def test_each_cell_is_made_once_from_the_clips_it_names(reproduced, tmp_path):
    out, work = tmp_path / "methods.json", tmp_path / "work"
    project = f"toys={reproduced.folder}"
    sizes = ["--methods", "flow", "--minutes", "0.01", "--clips", "12", "--seeds", "3"]
    command = [sys.executable, "-m", "bench.methods", project, *sizes, "--out", str(out), "--work", str(work)]
    environment = reproduced.environment | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=ROOT, check=True, env=environment)
    cells = json.loads(out.read_bytes())["cells"]
    assert set(cells) == {f"toys/0.01min/flow/12/3-{steps}" for steps in (1, 4, 16)}
    assert all(cell["clips_shown"] > 0 and cell["cpu_seconds"] > 0 for cell in cells.values())
    shown = read_table(work / "toys/0.01min/flow/12/3/data/labels/clips.parquet", Clip)
    every = read_table(reproduced.folder / "data/labels/clips.parquet", Clip)
    assert sum(clip.split == "train" for clip in shown) == 12
    assert [clip for clip in shown if clip.split != "train"] == [clip for clip in every if clip.split != "train"]
    subprocess.run(command, cwd=ROOT, check=True, env=environment)
    assert json.loads(out.read_bytes())["cells"] == cells
