"""`t2v sweep report` on a sweep whose figures are known: experiments as commits of a small repository."""

import json
import subprocess
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from pipeline.cli.sweep import app
from pipeline.sweeping.record import Origin, Plan, Sweep

FIGURES = {0.1: [0.9, 0.8, 0.85], 1.0: [0.4, 0.5, 0.45], 10.0: [0.1, 0.15, 0.05]}  # density falls with the weight
PERSON = ("-c", "user.name=a", "-c", "user.email=a@a")


@pytest.fixture(autouse=True)
def sweep(tmp_path, monkeypatch):
    """A sweep of three weights and three seeds; the last run of the last weight has failed."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    made = Sweep("weights", Plan(("train.penalties.r1=0.1,1.0,10.0",), seeds=3), Origin("", "", (), (), (), "", 1))
    for weight in FIGURES:
        made.add_point({"train.penalties.r1": weight}, [17, 18, 19])
    made.runs["weights-9"].failure = "error: the loss is not finite"
    made.save()
    for name, run in made.runs.items():
        if run.failure:
            continue
        density = FIGURES[run.values["train.penalties.r1"]][run.seed - 17]
        figures = {"density": density, "recall": 1 - density, "frechet": None, "recall_ceiling": 1.0}
        (tmp_path / "metrics.json").write_text(json.dumps(figures))
        git("add", "metrics.json")
        git(*PERSON, "commit", "--quiet", "--message", name)
        git("update-ref", f"refs/exps/ab/{'c' * 38}/{name}", "HEAD")
    return made


def git(*arguments):
    subprocess.run(["git", *arguments], check=True)


def answer(*arguments, code=0):
    """What the command prints."""
    result = CliRunner().invoke(app, ["report", *arguments])
    assert result.exit_code == code, result.output
    return result.output if code == 0 else str(result.exception)


def test_means_intervals_differences_front_and_failures_are_told():
    printed = answer("weights")
    assert "0.850 ± 0." in printed
    assert "density" in printed
    assert "2 < 1, 3 < 1, 3 < 2" in printed
    assert "2 of 2 metrics differ between points" in printed
    assert "1 of 9 runs are missing: weights-9" in printed
    assert "weights-9 failed: error: the loss is not finite" in printed


def test_json_holds_every_pair_and_no_figure_of_real_clips():
    told = json.loads(answer("weights", "--json"))
    assert [point["values"]["train.penalties.r1"] for point in told["points"]] == list(FIGURES)
    assert told["points"][0]["metrics"]["density"]["mean"] == pytest.approx(0.85)
    assert set(told["differences"]) == {"density", "recall"}
    assert len(told["differences"]["density"]["pairs"]) == 3
    assert told["missing"] == ["weights-9"]
    assert all(point["front"] for point in told["points"])  # more of one is less of the other


def test_a_sweep_whose_points_measure_nothing_says_so(sweep):
    git("rm", "--quiet", "metrics.json")
    git(*PERSON, "commit", "--quiet", "--message", "trained alone")
    for name in sweep.runs:
        git("update-ref", f"refs/exps/ab/{'c' * 38}/{name}", "HEAD")
    sweep.origin = replace(sweep.origin, stages=("train",))
    sweep.save()
    assert "no figure in metrics.json, since points run train; `dvc exp apply` one" in answer("weights", code=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.svg", "a.png"])
def test_curves_are_drawn(tmp_path, name):
    answer("weights", "--out", name)
    drawn = (tmp_path / name).read_bytes()
    assert drawn.startswith({"a.svg": b"<svg", "a.png": b"\x89PNG"}[name])
    assert name == "a.png" or b"train.penalties.r1" in drawn


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["weight"], "no such sweep in runs/sweeps; did you mean weights?"),
        (["weights", "--metric", "densit"], "no run of weights has such a metric; did you mean density?"),
        (["weights", "--fidelity", "recal"], "did you mean recall?"),
        (["weights", "--out", "a.pdf"], "can draw .svg and .png"),
    ],
)
def test_what_is_not_there_is_answered_with_the_nearest(arguments, told):
    assert told in answer(*arguments, code=1)
