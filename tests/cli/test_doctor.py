"""`t2v doctor` names what is wrong here, with the way out, and fails only where the pipeline would."""

import shutil

import pytest


def lines(printed):
    """Check -> (state, text), from what doctor printed."""
    return {line[5:15].strip(): (line[:5].strip(), line[15:]) for line in printed.splitlines()}


@pytest.mark.slow
def test_a_sound_machine_is_all_ok(project):
    project.t2v("prepare")
    found = lines(project.t2v("doctor"))
    assert {name: state for name, (state, _) in found.items() if name != "disk"} == dict.fromkeys(
        ("python", "params", "dvc", "git", "ffmpeg", "torch", "devices"), "ok"
    )


@pytest.mark.slow
def test_what_would_fail_is_named_with_its_way_out(project):
    project.change({"devices": "gpu", "train": {"penalty": 1}})
    project.environment |= {"T2V_DEVICES": "gpu"}
    found = lines(project.t2v("doctor", code=1))
    assert found["params"][0] == "fail"
    assert found["devices"][0] == "fail"
    assert found["ffmpeg"][0] == "ok"


@pytest.mark.slow
def test_what_only_experiments_need_is_a_warning(project):
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        del project.environment[name]
    state, text = lines(project.t2v("doctor"))["git"]
    assert state == "warn"
    assert "git config --global user.name" in text
    shutil.rmtree(project.folder / ".git")
    state, text = lines(project.t2v("doctor"))["git"]
    assert state == "warn"
    assert "git init" in text
