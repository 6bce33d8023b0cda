"""Time to quality: a training counts until the first look at which its samples are good, and is not made twice."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from locations import ROOT

pytestmark = pytest.mark.usefixtures("bench_is_importable")

LIMITS = {"joint_accuracy": 0.95, "pairs_joint_accuracy": 0.9}


def look(seconds, joint, pairs):
    return {"cpu_seconds": seconds, "joint_accuracy": joint, "pairs_joint_accuracy": pairs}


def test_both_figures_have_to_be_good_at_one_look():
    from bench.quality import find_good

    early = [look(1.0, 0.96, 0.2), look(2.0, 0.94, 0.95)]
    assert find_good(early, LIMITS) is None
    assert find_good([*early, look(3.0, 0.95, 0.9), look(4.0, 1.0, 1.0)], LIMITS) == 3.0


def test_a_training_that_does_not_get_there_counts_as_the_longest():
    from bench.quality import summarise

    found = summarise({"now/17": {"cpu_seconds": 5.0}, "now/18": {"cpu_seconds": None}, "now/19": {"cpu_seconds": 7.0}})
    assert found == {"now": {"17": 5.0, "18": None, "19": 7.0, "median": 7.0}}


def test_the_script_that_trains_runs_in_the_earlier_build_as_well(tmp_path):
    """Both builds are trained by one script, which imports what both have."""
    from bench.measuring import unpack_revision
    from bench.quality import SETTINGS

    revision = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))["revision"]
    if not unpack_revision(revision, tmp_path):
        pytest.skip(f"revision {revision} is not in this clone")
    code = f"import runpy; runpy.run_path({str(ROOT / 'bench/train_and_stop.py')!r})"
    subprocess.run([sys.executable, "-P", "-c", code], env=os.environ | {"PYTHONPATH": str(tmp_path)}, check=True)


@pytest.mark.slow
def test_each_training_is_made_once_and_ends_when_its_samples_are_good(reproduced, tmp_path):
    params = yaml.safe_load((reproduced.folder / "params.yaml").read_text(encoding="utf-8"))
    step = params["train"]["batch_clips"]
    params["train"]["total_clips"] = 4 * step
    tree = {"revision": "none", "every_clips": step, "samples": 4, "joint_accuracy": 0.0, "pairs_joint_accuracy": 0.0}
    settings, out = tmp_path / "settings.yaml", tmp_path / "quality.json"
    settings.write_text(yaml.safe_dump(tree | {"builds": {"now": params}}), encoding="utf-8")
    places = ["--project", str(reproduced.folder), "--settings", str(settings), "--work", str(tmp_path / "work")]
    command = [sys.executable, "-m", "bench.quality", *places, "--out", str(out), "--seeds", "3"]
    environment = reproduced.environment | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=ROOT, check=True, env=environment)
    found = json.loads(out.read_bytes())
    training = found["trainings"]["now/3"]
    assert [look["clips"] for look in training["looks"]] == [step]
    assert training["cpu_seconds"] == training["looks"][0]["cpu_seconds"] == found["medians"]["now"]["3"] > 0
    subprocess.run(command, cwd=ROOT, check=True, env=environment)
    assert json.loads(out.read_bytes())["trainings"] == found["trainings"]
