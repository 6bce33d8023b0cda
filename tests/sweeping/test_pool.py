"""The pool of a sweep: never more jobs than devices, a log for each, and all of them stopped together."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from pipeline.sweeping.pool import Job, SlotQueue, find_processes, run_jobs


def python_job(folder, name, code):
    """A job that runs a line of Python."""
    return Job(name, name, [sys.executable, "-c", code], folder / f"{name}.log")


def run_all(folder, jobs, limit=1, on_change=lambda _: None):
    """Run the jobs on `limit` devices of their own."""
    waiting = list(jobs)
    slots = SlotQueue("core", [str(number) for number in range(limit)], 1, folder / "slots")
    run_jobs(
        lambda: waiting.pop(0) if waiting else None,
        limit,
        slots,
        lambda lent: os.environ | {"T2V_CORES": ",".join(lent.names)},
        on_change,
    )


@pytest.mark.slow
def test_no_more_jobs_run_at_once_than_there_are_places(tmp_path):
    running, most = set(), []

    def count(job):
        running.symmetric_difference_update({job.name})
        most.append(len(running))

    jobs = [python_job(tmp_path, str(number), "import time; time.sleep(0.2)") for number in range(5)]
    run_all(tmp_path, jobs, 2, count)
    assert [job.state for job in jobs] == ["done"] * 5
    assert max(most) == 2
    assert running == set()


def test_each_job_is_told_its_device_which_is_used_again(tmp_path):
    """Two jobs that wait for each other run at once, so they have a device each."""
    jobs = []
    for name, other in ("01", "10", "23", "32"):
        own, awaited = tmp_path / f"{name} runs", tmp_path / f"{other} runs"
        wait = f"own.touch()\nwhile not Path({str(awaited)!r}).exists(): time.sleep(0.01)"
        code = f"import os, time\nfrom pathlib import Path\nown = Path({str(own)!r})\n{wait}"
        jobs.append(python_job(tmp_path, name, f"{code}\nprint(os.environ['T2V_CORES'])"))
    run_all(tmp_path, jobs, 2)
    lent = [job.log.read_text().strip() for job in jobs]
    assert [{*lent[:2]}, {*lent[2:]}] == [{"0", "1"}, {"0", "1"}]


def test_a_failed_job_says_its_exit_code_and_message_and_the_others_go_on(tmp_path):
    bad = "print('error: no such file'); print('ERROR: failed to reproduce'); raise SystemExit(3)"
    jobs = [python_job(tmp_path, "bad", bad), python_job(tmp_path, "good", "print('fine')")]
    run_all(tmp_path, jobs)
    assert [job.state for job in jobs] == ["failed (3)", "done"]
    assert jobs[0].message() == "error: no such file"
    failed = "ERROR: failed to reproduce 'train': failed to run: python work.py train, exited with 1\n"
    jobs[0].log.write_text(f"Traceback (most recent call last):\nKeyError: 'a'\n{failed}")
    assert jobs[0].message() == "KeyError: 'a'"


def test_what_dvc_cannot_do_is_the_message_of_a_job_whose_stage_has_not_failed(tmp_path):
    full = "ERROR: failed to transfer '79db' - [Errno 28] No space left on device: 'data/clips' -> '.dvc/cache/a.tmp'"
    job = python_job(tmp_path, "full", "")
    job.log.write_text(f"> python work.py train\n{full}\nERROR: failed to reproduce 'train': [Errno 28] No space\n")
    assert job.message() == full


def test_the_last_line_skips_what_only_moves_the_cursor(tmp_path):
    job = python_job(tmp_path, "job", r"print('first\n\x1b[32mstep 7\x1b[0m\r  \n\n')")
    assert job.last_line() == ""
    run_all(tmp_path, [job])
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
        run_all(tmp_path, [job, waiting])
    assert saved.read_text() == "whole"
    assert (job.state, waiting.state) == ("failed (75)", "waiting")


@pytest.mark.slow
def test_what_a_killed_job_has_started_is_ended_also_in_a_session_of_its_own(tmp_path):
    child = "import time; print('ready', flush=True); time.sleep(60)"
    parent = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True).wait()"
    )
    job = python_job(tmp_path, "job", parent)

    def kill():
        while job.last_line() != "ready":
            time.sleep(0.1)
        assert len(find_processes(tmp_path, "job")) == 2
        job.process.kill()

    threading.Thread(target=kill, daemon=True).start()
    run_all(tmp_path, [job])
    assert job.state == "failed (-9)"
    assert find_processes(tmp_path) == []


def test_two_sweeps_never_have_the_same_device(tmp_path):
    one, other = (SlotQueue("gpu", ["0", "1", "2"], 2, tmp_path) for _ in range(2))
    lent = one.take()
    assert lent.names == ("0", "1")
    assert other.take() is None  # it keeps GPU 2 and the turn
    assert one.take() is None
    lent.release()
    assert set(other.take().names) == {"0", "2"}


def test_a_device_stays_held_by_the_process_that_inherited_it(tmp_path):
    one, other = (SlotQueue("gpu", ["0"], 1, tmp_path) for _ in range(2))
    lent = one.take()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=lent.descriptors())
    lent.release()
    assert other.take() is None
    child.kill()
    child.wait()
    assert not psutil.pid_exists(child.pid)
    assert other.take() is not None


@pytest.mark.slow
def test_a_sweep_says_that_it_waits_for_another_one(tmp_path, capsys):
    other = SlotQueue("core", ["0"], 1, tmp_path / "slots").take()
    threading.Timer(1.5, other.release).start()
    job = python_job(tmp_path, "job", "print('fine')")
    run_all(tmp_path, [job])
    assert job.state == "done"
    assert capsys.readouterr().err.count("waiting: another sweep of yours") == 1


def test_who_leaves_the_queue_gives_back_what_was_gathered(tmp_path):
    holder, waiting, third = (SlotQueue("core", ["0", "1"], 2, tmp_path) for _ in range(3))
    lent = holder.take()
    assert waiting.take() is None
    waiting.leave()
    lent.release()
    assert third.take() is not None
