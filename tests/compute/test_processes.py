import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from locations import ROOT
from waiting import alive, within

from pipeline.compute import map_ordered
from pipeline.errors import UserError
from pipeline.files import atomic_write
from pipeline.monitoring import progress

PROGRAM = """
import os, sys, time
from pathlib import Path
from pipeline.compute import map_ordered

def hang(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    try:
        list(map_ordered(hang, [sys.argv[1]] * 4, 2, label="hang"))
    except KeyboardInterrupt:
        sys.exit(75)
"""


def square_slowly(number: int) -> tuple[int, int]:
    time.sleep(0.2 if number == 0 else 0)
    return number * number, os.getpid()


def fail_on_three(number: int) -> int:
    if number == 3:
        raise UserError("three.webm: not a number; choose another")
    return number


def die_on_two(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fill_the_disk(path: Path) -> None:
    """The first file finds no room while another one is being written."""
    begun = path.parent / "begun"
    if path.name == "0":
        assert within(20, begun.exists)
        raise OSError(errno.ENOSPC, "No space left on device", str(path))
    with atomic_write(path) as temporary:
        temporary.write_text("half of it")
        begun.touch()
        time.sleep(1)


def touch(path: Path) -> Path:
    path.touch()
    return path


def test_results_come_in_the_order_of_the_tasks_from_several_processes():
    results = list(map_ordered(square_slowly, range(20), 3, label="square"))
    assert [value for value, _ in results] == [number * number for number in range(20)]
    pids = {pid for _, pid in results}
    assert os.getpid() not in pids
    assert len(pids) > 1


def test_one_worker_runs_in_this_process():
    assert {pid for _, pid in map_ordered(square_slowly, range(3), 1, label="square")} == {os.getpid()}


def test_no_task_gives_no_result():
    assert list(map_ordered(square_slowly, [], 4, label="square")) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_worker_is_raised_here(workers):
    with pytest.raises(UserError, match=r"three\.webm: not a number"):
        list(map_ordered(fail_on_three, range(6), workers, label="count"))


def test_a_dead_worker_is_reported_with_its_task():
    with pytest.raises(UserError, match="count: the worker died on 2 \\("):
        list(map_ordered(die_on_two, range(6), 2, label="count"))


def test_where_the_disk_is_full_no_worker_is_ended_while_it_writes(tmp_path):
    with pytest.raises(OSError, match="No space left"):
        list(map_ordered(fill_the_disk, [tmp_path / "0", tmp_path / "1"], 2, label="write"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "begun"]


def test_few_tasks_are_started_ahead_of_the_reader(tmp_path):
    results = map_ordered(touch, [tmp_path / f"{number:02}" for number in range(40)], 2, label="touch")
    next(results)
    time.sleep(0.3)
    assert len(list(tmp_path.iterdir())) <= 4
    results.close()


def test_a_line_tells_how_far_it_is_where_there_is_no_terminal(capsys):
    list(map_ordered(square_slowly, range(3), 1, label="square", progress=progress))
    assert capsys.readouterr().err.startswith("square: 3/3, ")


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 75), (signal.SIGKILL, -9), (signal.SIGTERM, -15)])
def test_workers_end_with_their_parent(tmp_path, ending, code):
    program, folder = tmp_path / "program.py", tmp_path / "pids"
    program.write_text(PROGRAM)
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, program, folder], env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    assert within(20, lambda: len(list(folder.iterdir())) == 2)
    if ending == signal.SIGINT:
        os.killpg(parent.pid, ending)  # as a terminal does: the workers get it, too
    else:
        parent.send_signal(ending)
    assert parent.wait(10) == code
    assert within(5, lambda: not any(alive(int(path.name)) for path in folder.iterdir()))
    assert "Traceback" not in parent.communicate()[1]
