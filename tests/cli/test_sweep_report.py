"""`t2v sweep report` on a sweep whose figures are known: experiments as commits of a small repository."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli.sweep import app
from pipeline.cli.sweep_report import build_spec, read_results
from pipeline.sweeping import Origin, Plan, Sweep
from pipeline.sweeping.axes import combine, read_axes

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
    record(made, lambda run: FIGURES[run.values["train.penalties.r1"]][run.seed - 17])
    return made


def show_density(density):
    return {"density": density, "recall": 1 - density, "frechet": None, "recall_ceiling": 1.0}


def record(made, measure, show=show_density):
    """Save the sweep, and of each run that has not failed an experiment with what `show` makes of its measure."""
    made.save()
    for name, run in made.runs.items():
        if run.failure:
            continue
        Path("metrics.json").write_text(json.dumps(show(measure(run))))
        git("add", "metrics.json")
        git(*PERSON, "commit", "--quiet", "--allow-empty", "--message", name)
        git("update-ref", f"refs/exps/ab/{'c' * 38}/{name}", "HEAD")


@pytest.fixture
def kinds():
    """A sweep of which penalties there are, each point at a density of its own but for two that are alike."""
    axis = "train.penalties={},{r1: 5.0},{zero_gp: 5.0},{r1: 1.0},{zero_gp: 1.0}"
    made = Sweep("kinds", Plan((axis,), seeds=2), Origin("", "", (), (), (), "", 1))
    for point in combine(read_axes([axis])):
        made.add_point(point, [17, 18])
    densities = {1: 0.1, 2: 0.9, 3: 0.1, 4: 0.2, 5: 0.5}
    record(made, lambda run: densities[run.point] + run.seed / 1000)
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
    assert "2 of 2 metrics differ significantly between points" in printed
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


@pytest.mark.usefixtures("kinds")
def test_kinds_of_penalties_are_told_by_their_names_and_weights():
    printed = answer("kinds", "--metric", "density")
    table = [line.split()[:3] for line in printed.split("metric")[0].splitlines()]
    shown = [
        ["1", "none", "2"],
        ["4", "r1", "1.0"],
        ["2", "r1", "5.0"],
        ["5", "zero_gp", "1.0"],
        ["3", "zero_gp", "5.0"],
    ]
    assert [row for row in table if row and row[0].isdigit()] == shown
    assert "9 of 10 pairs; highest: 2; lowest: 1 (not significantly different: 3)" in printed
    points = json.loads(answer("kinds", "--json"))["points"]
    assert points[1]["values"] == {"train.penalties": {"r1": 5.0}}


@pytest.mark.usefixtures("kinds")
def test_kinds_of_penalties_are_curves_over_the_weight_and_none_is_level():
    spec = build_spec(read_results("kinds", ("density", "recall")), ["density"], ("density", "recall"))
    rows = [layer["data"]["values"] for layer in spec["concat"][0]["layer"]]
    assert [(row["series"], row["x"]) for row in rows[1]] == [("r1", 1), ("r1", 5), ("zero_gp", 1), ("zero_gp", 5)]
    assert [row["series"] for row in rows[2]] == ["none"]


def test_points_without_numbers_are_rows_with_the_names_of_their_values_alone():
    made = Sweep("words", Plan(("train.adversarial=hinge,classic",)), Origin("", "", (), (), (), "", 1))
    for word in ("hinge", "classic"):
        made.add_point({"train.adversarial": word}, [17])
    record(made, lambda run: run.point / 2)
    spec = build_spec(read_results("words", ("density", "recall")), ["density"], ("density", "recall"))
    rows = spec["concat"][0]["data"]["values"]
    assert [(row["series"], row["mean"]) for row in rows] == [("hinge", 0.5), ("classic", 1.0)]
    assert spec["concat"][0]["encoding"]["y"]["field"] == "series"


@pytest.mark.parametrize(
    ("finished", "told"),
    [
        (lambda run: run.seed == 17, "one seed per point: no intervals or tests over seeds"),
        (lambda run: run.point == 1, "only one point is finished: no test over seeds"),
        (lambda _: True, "the seeds of each point give equal values: no test over seeds"),
    ],
)
def test_why_nothing_could_be_tested_is_told(finished, told):
    made = Sweep("few", Plan(("train.adversarial=hinge,classic",), seeds=3), Origin("", "", (), (), (), "", 1))
    for word in ("hinge", "classic"):
        made.add_point({"train.adversarial": word}, [17, 18, 19])
    for run in made.runs.values():
        run.failure = "" if finished(run) else "error: killed"
    record(made, lambda run: run.point / 2)
    assert told in " ".join(answer("few").split())


def test_a_metric_is_shown_also_where_those_of_the_trade_off_have_no_value():
    """They are withdrawn, or were not measured; nobody has asked for them."""
    made = Sweep("few", Plan(("train.adversarial=hinge,classic",)), Origin("", "", (), (), (), "", 1))
    for word in ("hinge", "classic"):
        made.add_point({"train.adversarial": word}, [17])
    record(made, lambda run: run.point / 2, lambda value: {"joint_accuracy": value, "density": None, "recall": None})
    assert "0.500" in answer("few", "--metric", "joint_accuracy")
    assert "no run of few has such a metric" in answer("few", "--metric", "density", code=1)


def test_a_sweep_whose_points_measure_nothing_says_so(sweep):
    git("rm", "--quiet", "metrics.json")
    git(*PERSON, "commit", "--quiet", "--message", "trained alone")
    for name in sweep.runs:
        git("update-ref", f"refs/exps/ab/{'c' * 38}/{name}", "HEAD")
    sweep.origin = replace(sweep.origin, stages=("train",))
    sweep.save()
    assert "no metrics in metrics.json, since points run train; `dvc exp apply` one" in answer("weights", code=1)


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
        (["weights", "--fidelity", "frechet"], "--fidelity frechet: lower values of it are better"),
        (["weights", "--fidelity", "two_sample_frames"], "--fidelity two_sample_frames: lower values of it are better"),
        (["weights", "--diversity", "copy_rate"], "--diversity copy_rate: lower values of it are better"),
        (["weights", "--out", "a.pdf"], "must end with .svg or .png"),
    ],
)
def test_what_is_not_there_is_answered_with_the_nearest(arguments, told):
    assert told in answer(*arguments, code=1)
