"""A metric of one's own, by reference: it is measured and withdrawn like the built-in ones, and refused in one line."""

import sys

import numpy as np
import pytest
from measured_clips import measured, prompt, reference

from pipeline.errors import UserError
from pipeline.evaluation.controls import SECOND_REAL, check_controls, select_withdrawn
from pipeline.evaluation.metric import measure_all
from pipeline.evaluation.metrics import METRICS, select_metrics

HEAD = """
import numpy as np
from pipeline.evaluation.controls import Limit
from pipeline.evaluation.intervals import Figure
from pipeline.evaluation.metric import ClipMetric, SetMetric

REQUIREMENTS = (Limit("mean clip", "below", 0.9, of_real=True),)
def brightness(clips, reference):
    return clips.measure_each(np.mean)
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes `own_metrics.py` into the project's folder; the module is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield lambda text: (tmp_path / "own_metrics.py").write_text(HEAD + text, encoding="utf-8")
    sys.modules.pop("own_metrics", None)


def own(name):
    return select_metrics([f"own_metrics:{name}"])


def test_every_built_in_metric_has_a_rule():
    assert [name for name, metric in METRICS.items() if not metric.requirements] == []


def test_a_metric_of_ones_own_comes_after_the_built_in_ones_with_its_interval(write):
    write("own = ClipMetric(values=brightness, requirements=REQUIREMENTS)")
    metrics, clips = own("own"), measured(30)
    assert list(metrics) == [*METRICS, "own"]
    figure = measure_all({"own": metrics["own"]}, clips, reference())["own"]
    assert figure.value == pytest.approx(clips.frames.mean())
    assert figure.low < figure.value < figure.high


def test_it_is_withdrawn_where_its_control_does_not_move_it(write):
    write("own = ClipMetric(values=brightness, requirements=REQUIREMENTS)")
    metrics = {"own": own("own")["own"]}
    real = measured(30)
    for dimmed, withdrawn in ((0.5, set()), (0.95, {"own"})):
        control = measured(30, frames=(real.frames * dimmed).astype(np.uint8))
        sets = {SECOND_REAL: real, "mean clip": control}
        table = {name: measure_all(metrics, clips, reference()) for name, clips in sets.items()}
        requirements = {name: metric.requirements for name, metric in metrics.items()}
        assert select_withdrawn(check_controls(table, requirements, measured(1, prompts=[prompt(0)]), 5)) == withdrawn


def test_its_own_measurement_is_taken_once_for_each_set():
    taken = []
    clips, more = measured(3), measured(2)

    def measure(clip):
        taken.append(clip)
        return clip[0, 0, 0]

    assert clips.measure_each(measure).shape == (3, 3)
    assert clips.join(more).measure_each(measure).shape == (5, 3)
    assert len(taken) == 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("own = brightness", "is not of type pipeline.evaluation.metric.Metric; built in: "),
        ("other = 1", "has no own in "),
        (
            "own = ClipMetric(values=brightness, requirements=())",
            "has no requirements; name a control that must move it: train copy,",
        ),
        ("own = ClipMetric(values=brightness, requirements=(1,))", "has 1 among its requirements"),
        (
            'own = ClipMetric(values=brightness, requirements=(Limit("blurred", "below", 1),))',
            "for the control 'blurred'",
        ),
        (
            'own = ClipMetric(values=brightness, requirements=(Limit("frozen", "under", 1),))',
            "a requirement with the side 'under'",
        ),
        (
            'own = ClipMetric(values=brightness, requirements=REQUIREMENTS, headline="modell")',
            "has the headline 'modell'; there are",
        ),
        (
            "own = ClipMetric(values=lambda clips: clips.frames, requirements=REQUIREMENTS)",
            "cannot be called with (clips, reference)",
        ),
        ("own = SetMetric(figure=np.mean(1), requirements=REQUIREMENTS)", "is not callable"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused_in_one_line_with_its_name(write, text, told):
    write(text)
    with pytest.raises(UserError) as caught:
        own("own")
    message = str(caught.value)
    assert message.startswith("evaluate.metrics: 'own_metrics:own' ") and told in message and "\n" not in message


def test_the_name_of_a_built_in_metric_is_taken(write):
    write("mmd = ClipMetric(values=brightness, requirements=REQUIREMENTS)")
    with pytest.raises(UserError, match="has the name of a built-in metric; choose another name than mmd"):
        own("mmd")
    assert select_metrics(["mmd"]) == METRICS


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "own = ClipMetric(values=lambda clips, _: 1.0, requirements=REQUIREMENTS)",
            r"returned float64 \[\] for 12 clips",
        ),
        (
            "own = ClipMetric(values=lambda clips, _: clips.frames, requirements=REQUIREMENTS)",
            r"returned uint8 \[12, 2, 8, 8, 3\]",
        ),
        (
            "own = SetMetric(figure=lambda clips, _: 1.0, requirements=REQUIREMENTS)",
            "returned a float; it must return a pipeline",
        ),
        (
            "own = ClipMetric(values=lambda clips, _: np.full(12, np.inf), requirements=REQUIREMENTS)",
            "returned inf for clip 0 of 12; return nan for clips that it does not apply to",
        ),
        (
            "own = SetMetric(figure=lambda clips, _: Figure(float('nan')), requirements=REQUIREMENTS)",
            r"returned a figure of nan for 12 clips; where there is no value, return Figure\(None",
        ),
    ],
)
def test_a_metric_that_returns_something_else_is_named(write, text, told):
    write(text)
    with pytest.raises(UserError, match=f"evaluate.metrics: own {told}"):
        measure_all({"own": own("own")["own"]}, measured(12), reference())
