"""`dvc repro` end to end on a tiny demo: equal bytes from a clean clone, and nothing runs that need not."""

import json
import re
import shutil

import pyarrow.parquet as pq
import pytest
import yaml
from page_runs import ParsedPage
from projects import ROOT, stages_run

from pipeline.data.dataset import DataFolders, Dataset
from pipeline.demo.plan import CATEGORIES
from pipeline.records import slugify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

EVERY_STAGE = ["draw", "filter", "transcode", "tokenize", "train", "judge", "evaluate", "render", "report", "export"]
LOCKS = ("dvc.lock", "data/demo/dvc.lock")


@pytest.fixture
def project(reproduced, tmp_path):
    """A copy of the reproduced project, to change."""
    return reproduced.copy(tmp_path / "project")


def test_a_clean_clone_makes_the_same_bytes_with_any_number_of_workers(reproduced, tmp_path):
    """With nothing but what git holds, `dvc repro` runs every stage and leaves both lock files as they are."""
    other = reproduced.clone(tmp_path / "another-name")
    other.change({"compute": {"workers": 1}})
    assert stages_run(other.dvc("repro")) == EVERY_STAGE
    for lock in LOCKS:
        assert (other.folder / lock).read_bytes() == (reproduced.folder / lock).read_bytes()


def test_a_second_repro_runs_nothing_even_on_other_devices(project):
    assert "Data and pipelines are up to date" in project.dvc("status")
    assert project.run("git", "status", "--short") == ""
    project.change({"devices": "cpu:2", "compute": {"workers": 1}})
    printed = project.dvc("repro")
    assert stages_run(printed) == []
    assert "Data and pipelines are up to date" in printed


def test_another_penalty_runs_only_what_depends_on_it(project):
    project.change({"train": {"penalties": {"r1": 0.5}}})
    assert stages_run(project.dvc("repro")) == ["train", "evaluate", "render", "report", "export"]


def test_other_categories_are_chosen_from_the_same_drawing(project):
    """What follows on the filter runs as for the harder demo."""
    before = (project.folder / "data/demo/dvc.lock").read_bytes()
    shares = {"train": 0.2, "judge": 0.6, "val": 0.1, "test": 0.1}
    project.change({"filter": {"categories": ["moving-*", "pulling-*"], "shares": shares, "test_pairs": 0.0}})
    assert stages_run(project.dvc("repro", "filter")) == ["filter"]
    assert (project.folder / "data/demo/dvc.lock").read_bytes() == before
    chosen = (project.folder / "data/labels/report.json").read_text(encoding="utf-8")
    assert "moving-something-up" in chosen
    assert "pushing" not in chosen


def test_the_harder_demo_runs_through_the_whole_line(project):
    """All that is drawn, at tiny params; the drawing itself, the budget and the widths stay as small as they are.

    Other categories run everything but the drawing.
    """
    before = (project.folder / "data/demo/dvc.lock").read_bytes()
    recipe = yaml.safe_load((ROOT / "recipes/demo-hard.yaml").read_text(encoding="utf-8"))
    layers = {key: recipe["train"]["generator"][key] for key in ("layers", "object_layers")}
    project.change({"filter": recipe["filter"], "render": recipe["render"], "train": {"generator": layers}})
    assert stages_run(project.dvc("repro")) == EVERY_STAGE[1:]
    assert (project.folder / "data/demo/dvc.lock").read_bytes() == before
    report = json.loads((project.folder / "data/labels/report.json").read_text(encoding="utf-8"))
    assert sorted(report["categories"]) == sorted(slugify(category.template) for category in CATEGORIES)
    assert report["splits"]["test_pairs"] > 0
    clips = Dataset(DataFolders(*(project.folder / "data" / name for name in ("labels", "clips", "captions"))))
    named = {len(clip.objects) for clip in clips.clips(clips.rows("train"))}
    assert named == {1, 2}


def test_other_code_runs_what_it_belongs_to_and_compiled_code_runs_nothing(project):
    assert list(project.folder.glob("pipeline/video/__pycache__/*.pyc")), "the stages compiled their modules"
    with (project.folder / "pipeline/losses.py").open("a", encoding="utf-8") as file:
        file.write("# another penalty\n")
    assert stages_run(project.dvc("repro", "--dry")) == ["train"]  # and then what changes with the model


def test_a_misspelt_key_stops_the_first_stage_and_leaves_everything_as_it_was(project):
    before = {lock: (project.folder / lock).read_bytes() for lock in LOCKS}
    project.change({"filter": {"category": ["moving-something-up"]}})
    printed = project.dvc("repro", code=255)
    assert "filter.category: no such key; did you mean categories?" in printed
    assert "Traceback" not in printed
    assert {lock: (project.folder / lock).read_bytes() for lock in LOCKS} == before


def test_metrics_and_plots_show_without_the_internet(project):
    assert "loss_discriminator" in project.dvc("metrics", "show")
    project.t2v("prepare")
    project.dvc("plots", "show", "--out", "plots")
    page = (project.folder / "plots/index.html").read_text(encoding="utf-8")
    assert "Training losses" in page
    assert "data_evaluation_nearest.png" in page
    assert re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=[\"']?(?:https?:)?//", page) == []


def test_a_page_shows_a_revision_beside_the_workspace(project):
    project.change({"render": {"fps": 4}})
    assert "2 runs" in project.t2v("report", "HEAD", ".", "-o", "page.html")
    page = ParsedPage((project.folder / "page.html").read_text(encoding="utf-8"))
    assert "Runrender.fpsHEAD8project4" in page.text.replace("\n", "").replace(" ", "")
    names = [alt.partition(":")[0] for alt in page.attributes("alt")]
    assert names and names.count("HEAD") == names.count("project")
    assert "nowhere: not a folder, nor a revision" in project.t2v("report", "nowhere", "-o", "page.html", code=1)


def test_files_of_the_workspace_are_links_into_the_cache(project):
    """Without links every temporary run would copy all data. A hard or symbolic link shows; a reflink cannot."""
    project.dvc("checkout", "--relink")
    shard = next((project.folder / "data/clips").glob("*.parquet"))
    kind = project.run("stat", "--file-system", "--format=%T", str(shard)).strip()
    if kind in ("btrfs", "xfs"):
        pytest.skip("this file system has reflinks, which look like copies")
    assert shard.is_symlink() or shard.stat().st_nlink > 1


def test_a_clone_without_git_runs_too(reproduced, tmp_path):
    project = reproduced.copy(tmp_path / "unpacked")
    shutil.rmtree(project.folder / ".git")
    project.t2v("prepare")
    assert stages_run(project.dvc("repro")) == []
    assert "no_scm = true" in (project.folder / ".dvc/config.local").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["clips", "labels", "captions"])
def test_tables_of_a_product_have_one_schema(reproduced, name):
    """So that any reader of Parquet takes `*.parquet` of a folder as one table; what was dropped lies deeper."""
    files = sorted((reproduced.folder / "data" / name).glob("*.parquet"))
    assert len({pq.read_schema(file).remove_metadata() for file in files}) == 1
    assert not any("dropped" in file.name for file in files)
