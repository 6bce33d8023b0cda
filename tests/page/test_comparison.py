"""Several runs side by side."""

import shutil

import pytest
from page_runs import FIGURES, OPTIONS, ParsedPage, build_run, read_strip, write_evaluation, write_samples
from training_sets import H, T, moving_square
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.errors import UserError
from pipeline.monitoring.throughput import CostLogger
from pipeline.page import build_comparison
from pipeline.page.figures import compare_figures, compare_params, name_points
from pipeline.page.strips import align_samples, read_grid
from pipeline.params import DEFAULTS

BETTER = {"value": 0.99, "low": 0.98, "high": 1.0, "clips": 100, "reason": ""}


@pytest.fixture
def runs(tmp_path):
    """Two runs that differ in a param, a figure and their seeds."""
    one = build_run(tmp_path / "one", "one", train={"lr": 0.1, "steps": 5})
    other = build_run(tmp_path / "other", "other", train={"lr": 0.2, "steps": 5}, extra=True)
    write_evaluation(tmp_path / "other/evaluation", FIGURES | {"joint_accuracy": BETTER})
    write_samples(tmp_path / "other/samples", ("book", "mug"), seeds=(2, 3))
    return [one, other]


def test_only_params_that_differ_are_shown(runs):
    assert compare_params(runs) == {"train.lr": [0.1, 0.2], "extra": ["–", True]}  # noqa: RUF001


@pytest.mark.parametrize(
    ("names", "params", "told"),
    [
        (["w-1", "w-2"], {"train.r1": [0.1, 5], "seed": [1, 1]}, ["r1 0.1, seed 1", "r1 5, seed 1"]),
        (
            ["w-1", "w-2"],
            {"train.lr": [1, 2], "judge.lr": [1, None]},
            ["train.lr 1, judge.lr 1", "train.lr 2, judge.lr null"],
        ),
        (["w-1", "w-2"], {"training_seed": [1, 2]}, ["seed 1", "seed 2"]),  # what every sweep with seeds has
        (["w-1", "mine"], {"seed": [1, 2]}, ["w-1", "mine"]),  # of a name that somebody has chosen
        (["w-1", "x-2"], {"seed": [1, 2]}, ["w-1", "x-2"]),  # of two sweeps
        (["w-1", "w-2"], {"seed": [1, 1]}, ["w-1", "w-2"]),  # nothing sets them apart
        (["w-1", "w-2"], {"seed": ["a" * 40, "b"]}, ["w-1", "w-2"]),  # too long to stand below a clip
        (["w-1", "w-2"], {}, ["w-1", "w-2"]),
    ],
)
def test_points_of_a_sweep_are_called_by_the_params_that_set_them_apart(names, params, told):
    assert name_points(names, params) == told


def test_the_page_of_a_sweep_calls_its_points_by_their_params_in_charts_figures_and_below_clips(tmp_path):
    runs = [build_run(tmp_path / str(seed), f"weights-{seed}", training_seed=seed) for seed in (1, 2)]
    text = build_comparison(runs, OPTIONS, 8)
    page = ParsedPage(text)
    assert "seed 2: book, Pushing [something] from left to right" in page.attributes("alt")
    assert page.text.count("seed 2") > page.text.count("weights-2") == 2  # in the overview and the lineage
    assert '["seed 1","seed 2"]' in text.replace(", ", ",")  # of the charts


def test_figures_stand_on_one_axis_and_real_differences_are_named(runs):
    first, second = compare_figures(runs)["joint_accuracy"]
    assert (first.span.low, second.span.high) == (3, 97)  # the ends of all intervals: 0.7 and 1
    assert first.span.value == pytest.approx(3 + 94 * (0.8 - 0.7) / 0.3, abs=0.01)
    assert (first.differs, second.differs) == ("", "higher")
    assert "mmd" not in compare_figures(runs)  # withdrawn in both


def test_samples_are_those_of_a_seed_that_all_runs_have(runs):
    block, (sheet,) = align_samples(runs, 10)
    assert block == "generated, seed 2"
    assert [card.title for card in sheet.cards] == ["book", "mug"]
    assert [strip.label for strip in sheet.cards[0].strips] == ["one", "other"]
    expected = moving_square("mug", "from left to right", 2)
    shown = read_strip(sheet.cards[0].strips[1].source).reshape(T, H, -1, 3)
    assert abs(shown.astype(int) - expected).mean() < 6


def test_of_many_captions_as_many_are_shown_as_were_asked_for(runs):
    _, sheets = align_samples(runs, 1)
    assert [len(card.strips) for sheet in sheets for card in sheet.cards] == [2]


def test_captions_that_are_shown_are_spread_over_all(tmp_path):
    runs = [build_run(tmp_path / name, name, things=("ant", "book", "cup", "dog", "egg")) for name in ("one", "other")]
    _, (compared,) = align_samples(runs, 3)
    (alone,) = read_grid(runs[0], 3)
    assert [card.title for card in compared.cards] == [card.title for card in alone.cards] == ["ant", "cup", "egg"]


def test_the_page_holds_both_and_one_without_an_evaluation(runs):
    shutil.rmtree(runs[0].folders.evaluation)
    shutil.rmtree(runs[0].folders.samples)
    page = ParsedPage(build_comparison(runs, OPTIONS, 8))
    assert "not evaluated" in page.text
    assert page.attributes("data-chart") == [
        "training-loss_generator",
        "training-loss_discriminator",
        "validation-discrepancy",
    ]


def test_two_runs_of_one_name_cannot_be_told_apart(runs):
    with pytest.raises(UserError, match="two runs have the same name"):
        build_comparison([runs[0], runs[0]], OPTIONS, 8)


def call(*words):
    return CliRunner().invoke(app, ["report", *map(str, words)])


def test_the_command_writes_a_page_of_one_folder_and_of_several(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        build_run(tmp_path / name / "data")
        shutil.copyfile(DEFAULTS, tmp_path / name / "params.yaml")
    CostLogger(tmp_path / "a/runs/training/1", 0).log_scalars(64, {"clips": 64.0, "val/discrepancy": 0.5})
    answer = call("a", "-o", "one.html")
    assert answer.exit_code == 0, answer.output
    answer = call("a", "b", "-o", "two.html")
    assert "two.html: 2 runs" in answer.output
    assert "All params are equal" in (tmp_path / "two.html").read_text(encoding="utf-8")
    assert "train.total_clips" in (tmp_path / "one.html").read_text(encoding="utf-8")
    assert "clips per second" in (tmp_path / "one.html").read_text(encoding="utf-8")
    assert "devices" not in ParsedPage((tmp_path / "one.html").read_text(encoding="utf-8")).text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "nowhere: not a folder, nor a revision or experiment"),
        (["empty"], "empty: has no outputs of a run, such as data/model"),
        (["-o", "page.txt"], "its name must end with .html"),
    ],
)
def test_what_is_no_run_is_told(tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    answer = call(*words)
    assert answer.exit_code == 1
    assert isinstance(answer.exception, UserError)
    assert told in str(answer.exception)
