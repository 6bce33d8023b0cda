"""The pool of a sweep: never more jobs than places, a log for each, and all of them stopped together."""

import os
import signal
import sys
import threading
import time

import pytest

from pipeline.cli.sweep import Job, run_jobs


def python_job(folder, name, code):
    """A job that runs a line of Python."""
    return Job(name, name, [sys.executable, "-c", code], folder / f"{name}.log")


@pytest.mark.slow
def test_no_more_jobs_run_at_once_than_there_are_places(tmp_path):
    running, most = set(), []

    def count(job):
        running.symmetric_difference_update({job.name})
        most.append(len(running))

    jobs = [python_job(tmp_path, str(number), "import time; time.sleep(0.2)") for number in range(5)]
    run_jobs(jobs, [dict(os.environ)] * 2, count)
    assert [job.state for job in jobs] == ["done"] * 5
    assert max(most) == 2
    assert running == set()


def test_each_place_has_its_own_environment_and_is_used_again(tmp_path):
    code = "import os, time; print(os.environ['T2V_DEVICES']); time.sleep(0.2)"
    jobs = [python_job(tmp_path, str(number), code) for number in range(4)]
    run_jobs(jobs, [os.environ | {"T2V_DEVICES": place} for place in ("0,1", "2,3")], lambda _: None)
    assert sorted(job.log.read_text().strip() for job in jobs) == ["0,1", "0,1", "2,3", "2,3"]


def test_a_failed_job_says_its_exit_code_and_the_others_go_on(tmp_path):
    jobs = [python_job(tmp_path, "bad", "raise SystemExit(3)"), python_job(tmp_path, "good", "print('fine')")]
    run_jobs(jobs, [dict(os.environ)], lambda _: None)
    assert [job.state for job in jobs] == ["failed (3)", "done"]


def test_the_last_line_skips_what_only_moves_the_cursor(tmp_path):
    job = python_job(tmp_path, "job", r"print('first\n\x1b[32mstep 7\x1b[0m\r  \n\n')")
    assert job.last_line() == ""
    run_jobs([job], [dict(os.environ)], lambda _: None)
    assert job.last_line() == "step 7"


@pytest.mark.slow
def test_ctrl_c_reaches_the_children_of_a_job_and_waits_until_they_have_saved(tmp_path):
    """As `dvc` does, the job starts a child in its process group; the child takes a second to save."""
    saved = tmp_path / "saved"
    child = (
        "import signal, sys, time, pathlib\n"
        "def save(*_):\n"
        f"    time.sleep(1); pathlib.Path({str(saved)!r}).write_text('whole'); sys.exit(75)\n"
        "signal.signal(signal.SIGINT, save); print('ready', flush=True); time.sleep(60)"
    )
    parent = f"import subprocess, sys; sys.exit(subprocess.Popen([sys.executable, '-c', {child!r}]).wait())"
    job = python_job(tmp_path, "job", f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{parent}")
    waiting = python_job(tmp_path, "never", "print('started')")

    def interrupt():
        while job.last_line() != "ready":
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_jobs([job, waiting], [dict(os.environ)], lambda _: None)
    assert saved.read_text() == "whole"
    assert (job.state, waiting.state) == ("failed (75)", "waiting")
