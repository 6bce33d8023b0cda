"""`t2v lineage` finds models of every commit, and names the nearest figure for one that there is not."""

import subprocess

import pytest

from pipeline.cli.lineage import trace_metric
from pipeline.errors import UserError
from pipeline.provenance.locks import list_locked_models


def test_of_a_misspelt_figure_the_nearest_is_named(tmp_path):
    (tmp_path / "metrics.json").write_text('{"recall": 0.5, "joint_accuracy": 0.9}')
    with pytest.raises(UserError, match=r"jount_accuracy: .*; did you mean joint_accuracy[?]"):
        trace_metric("jount_accuracy", tmp_path)
    with pytest.raises(UserError, match=r"beauty: .*; they hold: recall, joint_accuracy"):
        trace_metric("beauty", tmp_path)


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
