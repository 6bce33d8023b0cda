"""The page of a run: whole in itself, equal for equal runs, and whatever a run holds shown as text."""

import base64
import hashlib
import re
import shutil
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import yaml
from locations import ROOT
from page_runs import OPTIONS, ParsedPage, build_run, read_strip, write_csv, write_evaluation, write_labels
from safetensors.numpy import save_file
from training_sets import T, tiny_clips

from pipeline.errors import UserError
from pipeline.evaluation.intervals import Figure
from pipeline.files import write_json
from pipeline.page import build_comparison, build_page, embed_json, format_cell, format_value
from pipeline.page.figures import place_mark, read_charts, read_evaluation
from pipeline.page.overview import EDGES, REASONS
from pipeline.page.run import Run, RunFolders
from pipeline.page.strips import encode_strip
from pipeline.records import REASONS as ALL_REASONS
from pipeline.records import Drop
from pipeline.rendering.export import read_samples

MARKUP = '</script><script>alert(1)</script><img src=x onerror=alert(2)>"\' onload="alert(3)'
HEBREW = "דוחף ספל משמאל לימין"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole run. Shared: write nothing into it."""
    return build_run(tmp_path_factory.mktemp("run"), train={"penalties": {"r1": 5.0}})


@pytest.fixture(scope="module")
def page(run):
    return ParsedPage(build_page(run, OPTIONS, 8))


def test_equal_runs_give_equal_bytes(run, tmp_path):
    shutil.copytree(run.folders.labels.parent, tmp_path / "copy")
    copied = replace(run, folders=RunFolders.within(tmp_path / "copy"))
    assert build_page(copied, OPTIONS, 8) == build_page(run, OPTIONS, 8)


def test_progress_comes_to_its_end_and_changes_no_byte(run):
    steps = []

    @contextmanager
    def count(label, total):
        yield lambda: steps.append(label)
        assert len(steps) == total

    assert build_page(run, OPTIONS, 8, count) == build_page(run, OPTIONS, 8)
    steps.clear()
    assert build_comparison([run], OPTIONS, 8, count) == build_comparison([run], OPTIONS, 8)
    assert set(steps) == {"report"}


def test_the_page_asks_for_nothing_outside_itself(page):
    assert all(source.startswith("data:image/avif;base64,") for source in page.attributes("src"))
    assert all(target.startswith("#") for target in page.attributes("href"))
    assert {tag for tag, _ in page.elements} & {"link", "iframe", "object", "embed", "base"} == set()
    assert not any(re.search(r"@import|url\(", style) for style in page.styles)


def test_the_policy_allows_its_own_scripts_and_styles_alone(page):
    def digest(text):
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert page.sources("default-src") == ["'none'"]
    assert set(page.sources("script-src")) >= {digest(script) for script in page.scripts}
    assert "'unsafe-inline'" not in [*page.sources("script-src"), *page.sources("style-src")]
    assert page.sources("style-src") == [digest(style) for style in page.styles]
    assert page.attributes("style") == []  # the policy would ignore it


def test_links_within_the_page_lead_somewhere_and_names_are_unique(page):
    names = page.attributes("id")
    assert len(names) == len(set(names))
    assert {target[1:] for target in page.attributes("href")} <= set(names)
    assert set(page.attributes("aria-labelledby")) <= set(names)


def test_markup_and_hebrew_in_captions_names_and_drops_are_shown_as_text(tmp_path):
    made = [(replace(clip, caption=f"{HEBREW} {MARKUP}"), frames) for clip, frames in tiny_clips()]
    run = build_run(tmp_path, name=MARKUP, things=(MARKUP, HEBREW), train={MARKUP: MARKUP})
    write_labels(tmp_path, made, [Drop(MARKUP, "other_category", f"{MARKUP} {HEBREW}")])
    write_csv(tmp_path / "model/history.csv", [{"clips": 16, MARKUP: 1.5}])
    hostile = ParsedPage(build_page(run, OPTIONS, 8))
    plain = ParsedPage(build_page(build_run(tmp_path / "plain"), OPTIONS, 8))
    assert len(hostile.scripts) == len(plain.scripts)
    assert hostile.attributes("onerror") == hostile.attributes("onload") == []
    assert hostile.text.count(MARKUP) >= 5
    assert HEBREW in hostile.text
    shown = [attributes for tag, attributes in hostile.elements if attributes.get("dir") == "auto"]
    assert len(shown) > 10


def test_json_within_the_page_cannot_end_its_element():
    assert "<" not in embed_json({"series": ["</script><!--", "a\u2028b", "&amp;"]})


@pytest.mark.parametrize("missing", ["evaluation", "model", "samples", "judge", "labels", "clips", "captions"])
def test_what_a_stage_did_not_write_is_told_and_the_rest_is_shown(tmp_path, missing):
    run = build_run(tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / missing, ignore_errors=True)
    page = ParsedPage(build_page(run, OPTIONS, 8))
    assert ("This run has not been evaluated" in page.text) == (missing == "evaluation")
    assert ("There is no training log" in page.text) == (missing == "model")
    assert "Lineage" in page.text


def test_a_run_of_nothing_still_has_a_page(tmp_path):
    page = ParsedPage(build_page(Run("empty", RunFolders.within(tmp_path)), OPTIONS, 8))
    assert "Not trained yet" in page.text
    assert page.attributes("src") == []


def test_a_training_without_validation_has_its_own_curves(tmp_path):
    run = build_run(tmp_path)
    (tmp_path / "model/validation.csv").unlink()
    page = ParsedPage(build_page(run, OPTIONS, 8))
    assert page.attributes("data-chart") == ["training-loss"]


def test_what_has_no_figure_is_na_or_withdrawn_with_its_reason(page):
    assert "n/a" in page.text
    assert "3 clips, needed: 10" in page.text
    assert "withdrawn" in page.text
    assert "it failed a check on planted controls" in page.text
    assert "1 of 2 checks on planted controls passed; withdrawn: mmd" in " ".join(page.text.split())
    assert "users own" in page.text  # a metric that nobody but its user knows


def test_what_could_not_be_measured_is_told_in_a_line_of_its_own(tmp_path):
    reason = "no i3d_torchscript.pt"
    absent = {"value": None, "low": None, "high": None, "clips": 0, "reason": reason}
    run = build_run(tmp_path)
    write_evaluation(tmp_path / "evaluation", {"fvd": absent, "kvd": absent})
    told = " ".join(ParsedPage(build_page(run, OPTIONS, 8)).text.split())
    assert f"n/a FVD fvd, KVD kvd: {reason}" in told
    assert "From the floor" not in told  # no table without a figure


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        *[(0.9756, "0.98"), (1.0, "1.00"), (0.0, "0.00"), (0.0333333, "0.033"), (-0.1, "-0.10"), (12.34, "12.3")],
        *[(700.7, "700.7"), (14400.2, "14,400")],
    ],
)
def test_figures_have_as_many_digits_as_people_read(number, shown):
    assert format_value(number) == shown


@pytest.mark.parametrize(
    ("cell", "shown"),
    [("0.0333333", "0.033"), ("1", "1"), ("14400", "14400"), ("alarm clock", "alarm clock"), ("-3.56703", "-3.57")],
)
def test_cells_of_tables_are_shortened_where_they_are_no_whole_numbers(cell, shown):
    assert format_cell(cell) == shown


def test_a_mark_lies_between_floor_and_real_clips_as_the_figure_does(run):
    (line,) = [line for line in read_evaluation(run).key if line.name == "joint_accuracy"]
    assert (line.floor_set, line.floor, line.real.value) == ("shuffled captions", 0.2, 1.0)
    assert line.mark.value / line.mark.real == pytest.approx((0.8 - 0.2) / (1 - 0.2), abs=1e-3)
    assert line.mark.low / line.mark.real == pytest.approx((0.7 - 0.2) / (1 - 0.2), abs=1e-3)


def test_of_a_distance_less_is_nearer_to_real_clips():
    mark = place_mark(Figure(2.0, 1.0, 4.0), floor=10.0, ceiling=0.0)
    assert mark.value / mark.real == pytest.approx(0.8, abs=1e-3)
    assert mark.low < mark.value < mark.high  # 4 is drawn on the left of 1


@pytest.mark.parametrize(("floor", "ceiling"), [(None, 1.0), (0.5, None), (1.0, 1.0)])
def test_without_a_scale_there_is_no_mark(floor, ceiling):
    assert place_mark(Figure(0.5), floor, ceiling) is None


@pytest.mark.parametrize("shape", [(16, 32, 32), (1, 5, 7), (3, 18, 32)])
def test_a_strip_holds_the_frames_below_each_other(shape):
    rng = np.random.default_rng(0)
    frames = np.broadcast_to(rng.integers(0, 255, (shape[0], 1, 1, 3), dtype=np.uint8), (*shape, 3))
    strip = encode_strip(frames, "alt")
    shown = read_strip(strip.source).reshape(*shape, 3)
    assert strip.shape == shape
    assert np.abs(shown.astype(int) - frames).mean() < 4


def test_every_clip_of_the_grid_is_on_the_page_with_words_for_it(run, page):
    (row,) = read_samples(run.folders.samples / "grid.npz")
    alts = page.attributes("alt")
    for block in row.blocks:
        for window in block.windows:
            assert alts.count(f"{block.title}: {window.label}, {row.title}") == 1
    assert all(alts)
    assert f"steps({T}, jump-none)" in page.styles[0]


def test_what_a_stage_dropped_stands_there_with_why(page):
    told = " ".join(page.text.split())
    assert "24 of 25 kept" in told
    assert "1 dropped: its category is not selected other_category" in told
    assert "77 pulling" in told


def test_every_reason_has_words():
    assert REASONS.keys() == set(ALL_REASONS)


def test_the_drawn_graph_is_that_of_dvc():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    makers = {
        out if isinstance(out, str) else next(iter(out)): name for name, one in stages.items() for out in one["outs"]
    }
    read = {name: {makers[dep] for dep in one["deps"] if dep in makers} for name, one in stages.items()}

    def all_before(name):
        return {*EDGES[name]}.union(*map(all_before, EDGES[name]))

    assert {name: all_before(name) for name in EDGES} == {name: read[name] for name in read["report"]}


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("evaluation/intervals.json", "[]", "has no metrics of an evaluation"),
        ("evaluation/intervals.json", '{"mmd": {"value": "high"}}', "as its value and interval"),
        ("evaluation/protocol.json", "[1]", "not a JSON object"),
        ("labels/report.json", "{", "not JSON"),
        ("model/history.csv", "\ud800", "not a CSV table"),
        ("samples/grid.npz", "PK", "holds no samples"),
    ],
)
def test_a_broken_file_is_named(tmp_path, file, text, told):
    run = build_run(tmp_path)
    (tmp_path / file).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError, match=told) as error:
        build_page(run, OPTIONS, 8)
    assert file.rpartition("/")[2] in str(error.value)


def test_of_a_model_that_does_not_open_the_page_says_why(tmp_path):
    run = build_run(tmp_path)
    save_file({"weight": np.zeros((2, 3), np.float32)}, tmp_path / "model/generator.safetensors")
    page = ParsedPage(build_page(run, OPTIONS, 8))
    assert "this model was made by an earlier version" in page.text
    assert "parameters of the generator6" in page.text
    assert len(page.scripts) == 2
    assert "'wasm-unsafe-eval'" not in page.sources("script-src")


def test_numbers_that_are_none_are_left_out_of_curves(tmp_path):
    run = build_run(tmp_path)
    losses = ["", "nan", "inf", "high", "1"]
    write_csv(tmp_path / "model/history.csv", [{"clips": n, "loss": loss} for n, loss in enumerate(losses)])
    write_evaluation(tmp_path / "evaluation", {})
    chart, _ = read_charts([run])
    assert chart.rows == [[0, None], [1, None], [2, None], [3, None], [4, 1]]
    assert "training-loss" in ParsedPage(build_page(run, OPTIONS, 8)).attributes("data-chart")


def test_parts_of_another_kind_than_stages_write_are_taken_for_absent(tmp_path):
    run = build_run(tmp_path)
    write_json(tmp_path / "model/model.json", {"train": [1], "clip": "small", "clips": "many"})
    write_json(tmp_path / "labels/report.json", {"read": "all", "kept": None, "dropped": [2], "splits": 3})
    write_json(tmp_path / "judge/judge.json", {"val": 1, "clips": {}})
    assert "0 of 0 kept" in ParsedPage(build_page(run, OPTIONS, 8)).text
