"""The stage `evaluate`, on a network that was trained for two steps and a judge that learned a little."""

import csv
import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch
from evaluation_sets import COUNTS, evaluating, judged, make_clips, shorten_evaluations
from locations import ROOT
from markdown_pages import Page
from PIL import Image
from pretrained_files import Reader, StandIn
from provenance import read_provenance
from training_sets import train_project, write_data

from pipeline.errors import UserError
from pipeline.evaluation import evaluate as evaluation
from pipeline.evaluation.metrics import METRICS
from pipeline.files import digest_file
from pipeline.inference import Model
from stages.evaluate_model import InputFolders, evaluate_model

pytestmark = pytest.mark.slow
short = pytest.fixture(scope="module", autouse=True)(shorten_evaluations)

FILES = ["categories.csv", "controls.csv", "intervals.json", "logits.csv", "nearest.npz", "nearest.png", "nearness.csv"]
FILES += ["objects.csv", "opposites.npz", "opposites.png", "protocol.json", "provenance.json", "table.csv", "words.csv"]
FILES += ["worst.npz", "worst.png"]
KEYS = ["object_accuracy", "category_accuracy", "joint_accuracy", "motion_direction", "r_precision_at_1"]
OTHER_KEYS = [
    "mmd",
    "frechet",
    "precision",
    "recall",
    "diversity",
    "copy_rate",
    "pairs_joint_accuracy",
    "pairs_joint_ratio",
    "counterfactual_flip",
    "discriminator_gap",
    "discriminator_gap_ratio",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Data, a judge and a model. Shared: write nothing into it."""
    folder = tmp_path_factory.mktemp("evaluate")
    trained = train_project(folder / "project", total_clips=16)
    judged(folder / "data")
    shutil.copytree(trained / "data/model", folder / "data/model")
    return folder / "data"


def evaluate(data, out, networks=None, options=None, **places):
    folders = {name: data / name for name in ("labels", "clips", "captions", "model", "judge")} | places
    evaluate_model(
        InputFolders(**folders), out, out.parent / f"{out.name}.json", options or evaluating(), networks or {}
    )
    return json.loads((out.parent / f"{out.name}.json").read_text())


@pytest.fixture(scope="module")
def evaluated(data, tmp_path_factory):
    """The outputs of one evaluation: metrics.json as `one.json` beside the folder `one`."""
    folder = tmp_path_factory.mktemp("evaluated")
    evaluate(data, folder / "one")
    return folder


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_all_files_are_there_twice_with_equal_bytes(data, evaluated, tmp_path):
    assert sorted(path.name for path in (evaluated / "one").iterdir()) == FILES
    evaluate(data, tmp_path / "one")
    for path in [evaluated / "one.json", *(evaluated / "one").iterdir()]:
        assert path.read_bytes() == (tmp_path / path.relative_to(evaluated)).read_bytes(), path.name


def test_the_metrics_have_the_keys_that_were_agreed_in_six_digits(evaluated):
    told = json.loads((evaluated / "one.json").read_text())
    assert {*KEYS, *(f"{key}_ceiling" for key in KEYS), *OTHER_KEYS, "new_words_accuracy", "withdrawn"} <= told.keys()
    assert all(float(f"{value:.6g}") == value for value in told.values() if value is not None)
    intervals = json.loads((evaluated / "one/intervals.json").read_text())
    assert intervals.keys() == told.keys() - {"withdrawn"}
    for name, figure in intervals.items():
        assert (figure["value"] is None) == bool(figure["reason"]), name
        assert (told[name] is None) == (figure["value"] is None)


def test_the_table_has_every_metric_of_every_set_and_a_note_where_a_value_is_missing(evaluated):
    table = rows(evaluated / "one/table.csv")
    sets = list(dict.fromkeys(row["set"] for row in table))
    assert {"model", "model, varied", "model, pairs", "model, turned to", "real test", "real val"} < set(sets)
    assert {"train copy", "noisy train copy", "mean clip", "frozen", "shuffled frames", "backwards"} < set(sets)
    assert [row["metric"] for row in table] == [*METRICS] * len(sets)
    assert all(bool(row["value"]) != bool(row["note"]) for row in table)


def test_the_controls_that_need_no_judge_are_caught(evaluated):
    passed = {(row["metric"], row["control"]): row["passed"] for row in rows(evaluated / "one/controls.csv")}
    for metric, control in (
        ("copy_rate", "train copy"),
        ("motion_direction", "frozen"),
        ("motion_direction", "backwards"),
        ("static_share", "frozen"),
        ("flicker", "frozen"),
        ("diversity_pixels", "mean clip"),
    ):
        assert passed[metric, control] == "yes", (metric, control)


def test_real_clips_move_as_they_say_and_the_scale_ends_at_them(evaluated):
    found = {(row["set"], row["metric"]): row for row in rows(evaluated / "one/table.csv")}
    assert float(found["real test", "motion_direction"]["value"]) == 1
    assert float(found["real test", "motion_direction"]["scaled"]) == 1
    assert float(found["shuffled captions", "motion_direction"]["scaled"]) == 0
    assert float(found["noise", "frechet"]["scaled"]) == 0
    assert float(found["real val", "frechet"]["scaled"]) == 1


def test_objects_and_categories_have_lines_of_their_own(evaluated):
    objects = rows(evaluated / "one/objects.csv")
    assert {(row["set"], row["name"]) for row in objects} >= {("model", "book"), ("real test", "pen")}
    categories = rows(evaluated / "one/categories.csv")
    assert sum(int(row["clips"]) for row in categories if row["set"] == "real test") == COUNTS["test"]


def test_the_pictures_name_their_model_and_judge(data, evaluated):
    for name in ("nearest.png", "worst.png"):
        told = read_provenance(evaluated / "one" / name)
        assert (told["model"], told["judge"]) == (
            Model(data / "model").digest,
            digest_file(data / "judge/judge.safetensors"),
        )
        with Image.open(evaluated / "one" / name) as picture:
            assert picture.width > picture.height / 10


def test_the_protocol_says_what_was_looked_at(evaluated):
    told = json.loads((evaluated / "one/protocol.json").read_text())
    assert (told["real_test"], told["real_pairs"], told["real_words"]) == (COUNTS["test"], COUNTS["test_pairs"], 0)
    assert (told["clip"]["frames"], told["seed"], told["samples"]) == (8, 1000, 24)
    assert told["generator_weights"] > 1000 and told["gflop_per_clip"] > 0


def test_the_discriminator_is_asked_about_training_clips_unseen_ones_and_samples(evaluated):
    told = {row["set"]: row for row in rows(evaluated / "one/logits.csv")}
    assert list(told) == ["real train", "real unseen", "model", "model, pairs", "real pairs"]
    assert told["real train"]["clips"] == told["real unseen"]["clips"] == str(COUNTS["train"])  # of equal contents
    gap = json.loads((evaluated / "one/intervals.json").read_text())["discriminator_gap"]
    assert gap["clips"] == COUNTS["train"]


def test_too_few_clips_give_no_figures_but_the_numbers_that_are_needed(data, tmp_path):
    write_data(tmp_path, make_clips({**COUNTS, "test": 3, "val": 2, "test_pairs": 0}))
    told = evaluate(data, tmp_path / "one", **{name: tmp_path / name for name in ("labels", "clips", "captions")})
    notes = {
        name: figure["reason"] for name, figure in json.loads((tmp_path / "one/intervals.json").read_text()).items()
    }
    assert told["frechet"] is told["copy_rate"] is told["joint_accuracy_ceiling"] is None
    assert notes["joint_accuracy_ceiling"] == "clips that name a known object and category: 3, needed: 10"
    assert notes["frechet"] == "2 clips on either side, 48 are needed"
    assert notes["copy_rate"] == "5 unseen real clips to judge nearness by, 50 are needed"
    assert notes["pairs_joint_accuracy"] == "no pair is held out; see filter.test_pairs"


def test_an_untrained_judge_leaves_what_needs_no_judge(data, tmp_path):
    """Twelve clips in the split judge: flow, copies, diversity and distances are there, all else is not."""
    judged(tmp_path, {**COUNTS, "judge": 12})
    told = evaluate(data, tmp_path / "one", **{n: tmp_path / n for n in ("labels", "clips", "captions", "judge")})
    assert told["joint_accuracy"] is told["r_precision_at_1_ceiling"] is told["counterfactual_flip"] is None
    assert told["pairs_nearest_other_object_rate"] is told["pairs_joint_ratio"] is told["pairs_joint_accuracy"] is None
    table = {row["metric"]: row for row in rows(tmp_path / "one/table.csv") if row["set"] == "model"}
    for name in ("motion_direction", "flicker", "copy_rate", "copy_rate_flows", "diversity_pixels", "mmd", "recall"):
        assert table[name]["value"], name
    notes = json.loads((tmp_path / "one/intervals.json").read_text())
    assert notes["joint_accuracy"]["reason"].startswith("the judge had 12 clips to train on, 20 are needed")


def test_without_a_split_val_the_test_clips_alone_are_the_unseen_ones(data, tmp_path):
    write_data(tmp_path, make_clips({**COUNTS, "val": 0}))
    evaluate(data, tmp_path / "one", **{name: tmp_path / name for name in ("labels", "clips", "captions")})
    table = {(row["set"], row["metric"]): row for row in rows(tmp_path / "one/table.csv")}
    assert table["model", "copy_rate"]["value"]
    assert ("real val", "mmd") not in table
    untried = {row["metric"] for row in rows(tmp_path / "one/controls.csv") if row["passed"] == "not tested"}
    assert {"mmd", "frechet", "precision"} <= untried


def test_new_words_need_vectors(data, tmp_path):
    folders = {name: data / name for name in ("labels", "clips", "captions", "model", "judge")}
    with pytest.raises(UserError, match=r"no such file, but evaluate\.new_words needs it; see tokenize\.embeddings"):
        options = evaluating().model_copy(update={"new_words": ["cup"]})
        evaluate_model(InputFolders(**folders), tmp_path / "one", tmp_path / "one.json", options, {})


def test_what_real_clips_of_held_out_words_get_is_their_ceiling(data, evaluated, tmp_path):
    assert json.loads((evaluated / "one.json").read_text())["new_words_accuracy_ceiling"] is None
    write_data(tmp_path, make_clips({**COUNTS, "test_words": 12}))
    told = evaluate(data, tmp_path / "one", **{name: tmp_path / name for name in ("labels", "clips", "captions")})
    found = {(row["set"], row["metric"]): row["value"] for row in rows(tmp_path / "one/table.csv")}
    assert found["real words", "object_accuracy"] == f"{told['new_words_accuracy_ceiling']:.6g}"


def test_a_class_that_the_judge_never_met_is_left_out(data, tmp_path):
    """All test clips show an object that is neither trained on nor known; its pictures and means are left out."""
    made = [
        (replace(clip, objects=("violin",)) if clip.split == "test" else clip, frames)
        for clip, frames in make_clips(COUNTS)
    ]
    write_data(tmp_path, made)
    told = evaluate(data, tmp_path / "one", **{name: tmp_path / name for name in ("labels", "clips", "captions")})
    assert told["object_accuracy"] is told["joint_accuracy"] is None
    assert told["category_accuracy"] is not None
    table = rows(tmp_path / "one/table.csv")
    assert "mean clip" not in {row["set"] for row in table}


@pytest.mark.parametrize("absent", ["test", "train"])
def test_an_empty_split_is_named(data, tmp_path, absent):
    write_data(tmp_path, make_clips({**COUNTS, absent: 0}))
    with pytest.raises(UserError, match=r"0 (clips in the test split|in train).* both are needed; see filter\.shares"):
        evaluate(data, tmp_path / "one", **{name: tmp_path / name for name in ("labels", "clips", "captions")})


def test_a_model_of_other_words_is_refused(data, tmp_path):
    made = [(replace(clip, caption=f"slowly {clip.caption}"), frames) for clip, frames in make_clips(COUNTS)]
    write_data(tmp_path, made)
    with pytest.raises(UserError, match="have different vocabularies; run `dvc repro`"):
        evaluate(data, tmp_path / "one", captions=tmp_path / "captions")


def test_a_model_that_draws_no_numbers_is_refused(data, tmp_path, monkeypatch):
    """As black clips they would get figures like any others."""

    class Broken(Model):
        def __init__(self, *places):
            super().__init__(*places)
            for weight in self.generator.parameters():
                weight.data.fill_(torch.nan)

    monkeypatch.setattr(evaluation, "Model", Broken)
    with pytest.raises(UserError, match="the generator's pixels are not finite"):
        evaluate(data, tmp_path / "one")


def test_pretrained_networks_have_lines_in_the_same_table_and_controls_of_their_own(data, tmp_path, capsys):
    told = evaluate(data, tmp_path / "one", {"i3d": StandIn(), "clip": Reader()})
    found = {(row["set"], row["metric"]): row for row in rows(tmp_path / "one/table.csv")}
    assert found["model", "kvd"]["value"] and "kvd" in told
    assert [float(found[name, "kvd"]["scaled"]) for name in ("noise", "real val")] == [0, 1]
    assert found["model", "videomae_mmd"]["note"].startswith("no videomae in evaluate.pretrained.weights")
    assert told["videomae_mmd"] is None
    demands = {(row["metric"], row["control"]) for row in rows(tmp_path / "one/controls.csv")}
    assert {("kvd", "mean clip"), ("fvd", "shuffled frames"), ("clip_similarity", "shuffled captions")} < demands
    assert not any(metric.startswith("videomae") for metric, _ in demands)
    protocol = json.loads((tmp_path / "one/protocol.json").read_text())
    assert protocol["networks"] == {"i3d": "digest", "clip": "digest"}
    assert "videomae_frechet, videomae_mmd n/a  no videomae in" in capsys.readouterr().out


@pytest.mark.slow
def test_a_metric_of_ones_own_is_in_all_tables_and_in_the_summary(data, evaluated, tmp_path, monkeypatch, capsys):
    """The one of docs/extending.md, which its control moves."""
    page = Page(ROOT / "docs/extending.md")
    code = next(block.text for block in page.blocks("python") if block.text.startswith("# extensions/evaluation/"))
    (tmp_path / "own_change.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = evaluate(data, tmp_path / "one", options=evaluating(metrics=["own_change:change_of_frames"]))
    before = json.loads((evaluated / "one.json").read_text())
    assert found == before | {"change_of_frames": found["change_of_frames"]} and found["change_of_frames"] > 0
    table = rows(tmp_path / "one/table.csv")
    lines = {row["set"]: row for row in table if row["metric"] == "change_of_frames"}
    assert float(lines["model"]["low"]) <= float(lines["model"]["value"]) <= float(lines["model"]["high"])
    checks = rows(tmp_path / "one/controls.csv")
    assert [row["passed"] for row in checks if row["metric"] == "change_of_frames"] == ["yes"]
    assert json.loads((tmp_path / "one/intervals.json").read_text())["change_of_frames"]["low"] is not None
    assert "evaluate: change_of_frames " in capsys.readouterr().out
