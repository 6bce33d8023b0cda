"""`t2v doctor` names what is wrong here, with the way out, and fails only where the pipeline would."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pipeline.cli.doctor import (
    CHECKS,
    FIXES,
    Finding,
    doctor,
    find_missing_fix,
    is_known,
    read_numbers,
    read_static_version,
    read_wheel_version,
)
from pipeline.cli.prepare import find_remote_fault
from pipeline.compute.isolation import find_missing
from pipeline.errors import UserError
from pipeline.provenance.media import ENVIRONMENT


def lines(printed):
    """Check -> (state, text), from what doctor printed."""
    return {line[5:15].strip(): (line[:5].strip(), line[15:]) for line in printed.splitlines()}


def test_an_environment_that_is_a_link_is_the_one_that_stages_run(tmp_path, monkeypatch):
    for name in ("here", "elsewhere"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin/python").touch(0o755)
    (tmp_path / ".venv").symlink_to("here")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "here/bin/python"))
    monkeypatch.setenv("PATH", str(tmp_path / ".venv/bin"))
    assert CHECKS["python"]().state == "ok"
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere/bin"))
    assert "but stages would run" in CHECKS["python"]().text


def test_findings_are_told_as_json_with_the_same_code(monkeypatch, capsys):
    def fail():
        raise UserError("params.yaml: no such file")

    checks = {"git": lambda: Finding("ok", "works"), "params": fail, "devices": fail}
    monkeypatch.setattr("pipeline.cli.doctor.CHECKS", checks)
    with pytest.raises(typer.Exit) as ended:
        doctor(as_json=True)
    assert ended.value.exit_code == 1
    assert json.loads(capsys.readouterr().out) == {
        "git": {"state": "ok", "text": "works"},
        "params": {"state": "fail", "text": "params.yaml: no such file"},
        "devices": {"state": "fail", "text": "not checked, because params failed"},
    }


@pytest.mark.slow
def test_a_sound_machine_is_all_ok(project):
    project.t2v("prepare")
    found = lines(project.t2v("doctor"))
    assert {name: state for name, (state, _) in found.items() if name not in ("disk", "decoders", "sandbox")} == (
        dict.fromkeys(("python", "params", "dvc", "git", "remote", "ffmpeg", "torch", "devices"), "ok")
    )
    assert found["decoders"][0] in ("ok", "warn")  # new faults are published any day
    assert found["sandbox"][0] == ("warn" if find_missing() else "ok")


@pytest.mark.slow
def test_what_would_fail_is_named_with_its_way_out(project):
    project.change({"devices": "gpu", "train": {"penalty": 1}})
    project.environment |= {"T2V_DEVICES": "gpu"}
    found = lines(project.t2v("doctor", code=1))
    assert found["params"][0] == "fail"
    assert found["devices"] == ("fail", "not checked, because params failed")  # the fault is told once
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


def test_halves_of_copies_that_dvc_left_in_its_cache_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "unfinished" not in CHECKS["disk"]().text
    half = tmp_path / ".dvc/cache/files/md5/79/.d7low_UmXBgz9sHZd5BPcw.tmp"
    half.parent.mkdir(parents=True)
    half.write_bytes(bytes(3 * 10**8))
    (half.parent / "0123456789abcdef").write_bytes(b"whole")
    finding = CHECKS["disk"]()
    assert finding.state != "ok"
    assert "1 unfinished copy (0.3 GB)" in finding.text
    subprocess.run(finding.text.partition("runs: ")[2].partition(";")[0], shell=True, check=True)
    assert [path.name for path in half.parent.iterdir()] == ["0123456789abcdef"]


def test_halves_of_copies_are_looked_for_where_dvc_has_its_cache(tmp_path, monkeypatch):
    (tmp_path / "project/.dvc").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    Path(".dvc/config.local").write_text("[cache]\n    dir = ../../the cache\n")
    half = tmp_path / "the cache/files/md5/79/.d7low.tmp"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    text = CHECKS["disk"]().text
    assert "1 unfinished copy" in text
    subprocess.run(text.partition("runs: ")[2].partition(";")[0], shell=True, check=True)
    assert not half.exists()


def test_a_project_without_a_remote_is_sound_and_told_where_to_read_of_them(tmp_path, monkeypatch):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    monkeypatch.chdir(tmp_path)
    assert CHECKS["remote"]() == Finding("ok", "no remote configured (see docs/how-to/share-a-run.md)")


def test_a_copy_that_dvc_ends_meanwhile_is_not_counted(tmp_path, monkeypatch):
    """A link to nothing stands for a file that is gone once it is looked at."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".dvc/cache/files/md5/ab"
    folder.mkdir(parents=True)
    (folder / ".gone.tmp").symlink_to("away")
    assert "unfinished cop" not in CHECKS["disk"]().text
    (folder / ".left.tmp").write_bytes(b"half")
    assert "DVC left 1 unfinished copy" in CHECKS["disk"]().text


def test_a_version_is_held_against_its_own_line():
    assert read_numbers("n9.0.2-17-g2a571b6068-20260930") == (9, 0, 2)
    first, second = FIXES["FFmpeg"]
    assert find_missing_fix("FFmpeg", "7.1") == find_missing_fix("FFmpeg", "8.1.2") == first
    assert find_missing_fix("FFmpeg", "n9.0.1-3-g1") == second
    assert [find_missing_fix("FFmpeg", version) for version in ("8.1.3", "8.2", "9.0.2", "10.0")] == [None] * 4
    assert all(line.source.startswith("https://") for lines in FIXES.values() for line in lines)


def test_the_name_of_a_commit_is_no_version():
    assert [is_known(version) for version in ("v1.16.0", "1.5", "9711965", "g12ab", "")] == [True, True] + [False] * 3
    assert find_missing_fix("dav1d", "9711965") is None
    assert find_missing_fix("dav1d", "1.3.0") == FIXES["dav1d"][0]
    assert find_missing_fix("libvpx", "v1.15.2") == FIXES["libvpx"][0]
    assert find_missing_fix("libvpx", "v1.16.0") is None


@pytest.mark.parametrize("name", ["libvpx", "dav1d"])
def test_the_decoders_inside_say_what_they_are(name):
    assert is_known(read_wheel_version(name))
    said = read_static_version(name)  # a version, or a commit
    assert is_known(said) or re.fullmatch("[0-9a-f]{7,40}", said)


@pytest.mark.parametrize("whole", [False, True])
def test_a_remote_that_experiments_would_not_reach_is_told_of(project, monkeypatch, whole):
    """Its path is relative, or the last commit does not know it."""
    monkeypatch.chdir(project.folder)
    assert find_remote_fault() == ""
    store = project.folder.parent / "store"
    project.dvc("remote", "add", "--default", "store", str(store) if whole else "../store")
    expected = "git add .dvc/config && git commit" if whole else f"dvc remote modify store url {store}"
    assert expected in find_remote_fault()
    project.dvc("remote", "modify", "store", "url", str(store))
    project.commit("remote")
    assert find_remote_fault() == ""


def test_experiments_from_before_the_remote_are_told_of_until_it_is_a_local_setting(project, monkeypatch):
    monkeypatch.chdir(project.folder)
    start = project.run("git", "rev-parse", "HEAD").strip()
    project.run("git", "update-ref", f"refs/exps/{start[:2]}/{start[2:]}/one", "HEAD")
    project.dvc("remote", "add", "--default", "store", "/mnt/store")
    project.commit("remote")
    told = find_remote_fault()
    assert f"start from a commit without a remote ({start[:7]})" in told
    project.run("sh", "-c", told.rpartition("; ")[2])
    assert find_remote_fault() == ""


@pytest.mark.slow
def test_another_torch_processor_or_number_of_threads_than_that_of_the_run_is_told(project):
    record = project.folder / "data/model/provenance.json"
    record.parent.mkdir(parents=True)
    told = {"torch": "2.12.0", "cpu": "AVX9", "onednn": "AVX9", "blas": "MKL on Nobody", "threads": 99}
    record.write_text(json.dumps({"environment": told}))
    state, text = lines(project.t2v("doctor"))["torch"]
    assert state == "warn"
    for key, name in ENVIRONMENT.items():
        if key in told:
            assert f"{name}: {told[key]}, here " in text
