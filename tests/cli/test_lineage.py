"""`t2v lineage` finds models of every commit, and names the nearest figure for one that there is not."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from dvc.config import Config

from pipeline.cli.lineage import trace_file, trace_metric
from pipeline.errors import UserError
from pipeline.provenance.locks import find_cache, list_locked_models, read_steps
from pipeline.provenance.media import read_media
from pipeline.rendering.export import export_picture
from pipeline.repository import find_repository, list_settings


def test_of_a_misspelt_figure_the_nearest_is_named(tmp_path):
    (tmp_path / "metrics.json").write_text('{"recall": 0.5, "joint_accuracy": 0.9}')
    with pytest.raises(UserError, match=r"jount_accuracy: .*; did you mean joint_accuracy[?]"):
        trace_metric("jount_accuracy", tmp_path)
    with pytest.raises(UserError, match=r"beauty: .*; they have: recall, joint_accuracy"):
        trace_metric("beauty", tmp_path)


@pytest.mark.parametrize("name", ["metrics.json", "data/evaluation/provenance.json"])
def test_a_file_of_figures_or_provenance_that_is_no_object_is_named(tmp_path, name):
    (tmp_path / "data/evaluation").mkdir(parents=True)
    (tmp_path / "metrics.json").write_text('{"recall": 0.5}')
    (tmp_path / name).write_text("[5]")
    with pytest.raises(UserError, match=f"{name}: not a JSON object; `dvc repro` writes it again"):
        trace_metric("recall", tmp_path)


def test_a_repository_may_lie_in_a_folder_whose_name_is_no_utf_8(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    assert find_repository(folder) == folder


def test_a_model_is_found_whose_branch_was_merged_and_its_lock_was_not_taken(tmp_path):
    """Git leaves such a side of a merge out of the history of a file unless it is asked for the whole of it."""

    def run(*words):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t", *words], cwd=tmp_path, check=True)

    def lock(digest):
        text = f"    - path: data/model\n      hash: md5\n      md5: {digest}.dir\n"
        (tmp_path / "dvc.lock").write_text(text)
        run("add", "dvc.lock")
        run("commit", "--quiet", "--message", digest)

    run("init", "--quiet", "--initial-branch=main")
    lock("aa")
    run("checkout", "--quiet", "-b", "side")
    lock("bb")
    run("checkout", "--quiet", "main")
    lock("cc")
    run("merge", "--quiet", "--strategy=ours", "--message", "merged", "side")
    run("branch", "--quiet", "-D", "side")
    assert {digests["data/model"] for digests, _ in list_locked_models(tmp_path)} == {"aa.dir", "bb.dir", "cc.dir"}


def test_of_a_folder_a_file_is_named_if_it_has_one(tmp_path):
    with pytest.raises(UserError, match=r"is a folder; it has no \.png, .* in it; name such a file$"):
        read_media(tmp_path)
    (tmp_path / "grid.gif").touch()
    (tmp_path / "report.json").touch()
    with pytest.raises(UserError, match=r"is a folder; name one of the files in it, such as grid\.gif$"):
        read_media(tmp_path)


@pytest.mark.parametrize("facts", [{"model": 5}, {"made_by": ["a"], "code": "b"}, {"code": {"a": 1}}])
def test_facts_of_a_stranger_that_nothing_here_writes_end_in_no_fault(tmp_path, monkeypatch, facts):
    monkeypatch.chdir(tmp_path)
    export_picture(np.zeros((4, 4, 3), np.uint8), Path("odd.png"), facts)
    tree = trace_file(read_media(Path("odd.png")), None, Path())
    assert tree["file"] == "odd.png"
    if "model" in facts:
        assert tree["model"]["not here"].startswith("made by the model 5, which is neither")


@pytest.mark.parametrize(
    ("setting", "folder"),
    [
        ("/a b", "/a b"),
        ('"/a, b"', "/a, b"),
        ("'/a#b'  # of all", "/a#b"),
        ("/a # of all", "/a"),
        ("../b", ".dvc/../b"),
    ],
)
def test_the_cache_is_where_dvc_has_it(tmp_path, setting, folder):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text(f"[core]\n    analytics = false\n[cache]\n    dir = {setting}\n")
    assert find_cache(tmp_path) == tmp_path / folder / "files/md5"
    (tmp_path / ".dvc/config.local").write_text("[cache\n")
    with pytest.raises(UserError, match=r"config\.local: settings of DVC that cannot be read"):
        find_cache(tmp_path)


@pytest.mark.parametrize(
    ("level", "setting", "folder"),
    [
        ("GLOBAL", "/shared", "/shared"),
        ("SYSTEM", "/shared", "/shared"),
        ("GLOBAL", "beside", "settings/beside"),
        ("GLOBAL", "~/shared", "home/shared"),
    ],
)
def test_the_cache_may_be_set_for_all_projects(tmp_path, monkeypatch, level, setting, folder):
    for name in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"DVC_{name}_CONFIG_DIR", str(tmp_path / name))
    monkeypatch.setenv(f"DVC_{level}_CONFIG_DIR", str(tmp_path / "settings"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for path, text in (("settings", f"[cache]\n    dir = {setting}\n"), (".dvc", "[cache]\n    type = copy\n")):
        (tmp_path / path).mkdir()
        (tmp_path / path / "config").write_text(text)
    assert find_cache(tmp_path) == tmp_path / folder / "files/md5"
    (tmp_path / ".dvc/config").write_text("[cache]\n    dir = own\n")
    assert find_cache(tmp_path) == tmp_path / ".dvc/own/files/md5"


def test_settings_are_read_where_dvc_reads_them(monkeypatch):
    for _ in range(2):
        config = Config(".dvc", validate=False)
        assert [path.absolute() for path in list_settings(Path(".dvc"))] == [
            Path(config.files[level]).absolute() for level in config.LEVELS
        ]
        monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", "/a/global")
        monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", "/a/system")


@pytest.mark.parametrize("stages", ["5", "{a: 5}", "{a: {outs: [{md5: b}]}}", "{a: {outs: 5}}"])
def test_a_lock_file_of_another_shape_is_named(tmp_path, stages):
    (tmp_path / "dvc.lock").write_text(f"schema: '2.0'\nstages: {stages}\n")
    with pytest.raises(UserError, match=f"^{tmp_path}/dvc.lock: not a lock file of DVC .*; `git checkout "):
        read_steps(tmp_path)
