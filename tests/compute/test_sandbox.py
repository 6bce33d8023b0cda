import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import BrokenExecutor
from contextlib import closing

import pytest
from locations import TESTS
from sandboxed_functions import Act, DieOutside, Words
from settings import changed
from waiting import alive, within

from pipeline.compute import map_sandboxed
from pipeline.compute.child import ChildFault
from pipeline.compute.sandbox import Sandbox
from pipeline.errors import UserError

TWO = changed({"compute": {"backend": "processes", "workers": 2, "sandbox": "off"}}).compute
PROGRAM = """
import sys
from pathlib import Path
from sandboxed_functions import Act, Words
from settings import changed
from pipeline.compute import map_sandboxed

compute = changed({"compute": {"backend": "processes", "workers": 2, "sandbox": "off"}}).compute
tasks = [Words(("hang",), Path(sys.argv[1]))] * 4
try:
    list(map_sandboxed(Act(), tasks, 4, compute, seconds=600, label="act"))
except KeyboardInterrupt:
    sys.exit(75)
"""


@pytest.fixture
def call(tmp_path):
    """Call `Act` in a child, with a limit of a second."""
    with closing(Sandbox(Act(), 1.0, "off")) as sandbox:
        yield lambda *words: sandbox(Words(words, tmp_path))


def pids(folder, word):
    return (folder / word).read_text().split()


def test_a_task_is_worked_on_in_a_child_that_stays(call, tmp_path):
    assert call("a", "b") == ["a", "b"]
    assert call("c") == ["c"]
    assert pids(tmp_path, "a") == pids(tmp_path, "c") != [str(os.getpid())]


def test_an_item_that_hangs_costs_itself_alone(call, tmp_path):
    assert call("a", "hang", "b") == ["a", "hung: not done after 1 seconds", "b"]
    assert len(pids(tmp_path, "hang")) == 1


def test_an_item_that_kills_its_process_twice_costs_itself_alone(call, tmp_path):
    assert call("a", "crash", "b") == ["a", "died: the process died of SIGSEGV, 2 times", "b"]
    assert call("leave", "c") == ["died: the process ended with code 3, 2 times", "c"]
    assert len(set(pids(tmp_path, "crash"))) == len(pids(tmp_path, "crash")) == 2


def test_one_death_that_is_not_repeated_costs_nothing(call):
    assert call("a", "stumble", "b") == ["a", "stumble", "b"]


@pytest.mark.slow
def test_several_bad_items_of_one_task_are_found_one_by_one(call):
    assert [word.split(":")[0] for word in call("hang", "crash", "leave", "a")] == ["hung", "died", "died", "a"]


@pytest.mark.slow
def test_the_time_limit_holds_for_each_item_and_not_for_the_whole_or_for_what_is_trusted(call):
    assert len(call(*(f"nap{number}" for number in range(14)), "pause")) == 15


def test_errors_come_back_as_they_are_and_a_fault_with_its_traceback(call):
    with pytest.raises(UserError, match=r"refuse\.webm: not wanted"):
        call("refuse")
    with pytest.raises(OSError, match="No space left") as full:
        call("full")
    assert (full.value.errno, full.value.filename) == (28, "/full")
    with pytest.raises(ChildFault, match=r"sandboxed_functions\.py(.|\n)*KeyError: 'a fault of the program'") as fault:
        call("fault")
    assert re.fullmatch(r"KeyError: 'a fault of the program' \(\S+\.py, line \d+\)", fault.value.summary)
    assert fault.value.step == "fault"
    assert call("a") == ["a"]


@pytest.mark.parametrize("mode", ["off", "auto"])
def test_no_module_comes_from_the_current_folder(tmp_path, monkeypatch, mode):
    """Where a stranger's files may lie: a child imports before its sandbox is applied."""
    for folder in (tmp_path, tmp_path / "finder.__path_hook__"):
        folder.mkdir(exist_ok=True)
        (folder / "csv.py").write_text("raise SystemExit('taken over')")
    monkeypatch.setattr(sys, "path", ["finder.__path_hook__", *(entry for entry in sys.path if entry)])
    monkeypatch.chdir(tmp_path)
    with closing(Sandbox(Act(), 60.0, mode)) as sandbox:
        assert sandbox(Words(("import",), TESTS)) == ["import"]


def test_a_child_that_dies_at_no_item_is_no_items_fault(tmp_path):
    with closing(Sandbox(DieOutside(), 1.0, "off")) as sandbox, pytest.raises(BrokenExecutor, match="SIGKILL"):
        sandbox(Words(("one",), tmp_path))
    with pytest.raises(UserError, match="act: the worker died on one two "):
        list(map_sandboxed(DieOutside(), [Words(("one", "two"), tmp_path)], 1, TWO, seconds=1, label="act"))


def test_closing_ends_a_child_in_the_middle(tmp_path):
    sandbox = Sandbox(Act(), 600.0, "off")
    thread = threading.Thread(target=call_closed, args=(sandbox, tmp_path))
    thread.start()
    assert within(60, (tmp_path / "hang").exists)
    sandbox.close()
    thread.join(5)
    assert not thread.is_alive()
    assert len(pids(tmp_path, "hang")) == 1
    assert not alive(int(pids(tmp_path, "hang")[0]))


def test_results_of_many_tasks_come_in_order_and_tasks_are_read_as_they_are_needed(tmp_path):
    read = []

    def tasks():
        for number in range(12):
            read.append(number)
            yield Words((f"w{number}", *["hang"] * (number == 3)), tmp_path)

    results = map_sandboxed(Act(), tasks(), 12, TWO, seconds=1, label="act")
    assert next(results) == ["w0"]
    assert len(read) <= 6
    assert [result[0] for result in results] == [f"w{number}" for number in range(1, 12)]


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 75), (signal.SIGKILL, -9), (signal.SIGTERM, -15)])
@pytest.mark.parametrize("whole_group", [True, False])
def test_no_child_outlives_its_parent(tmp_path, ending, code, whole_group):
    here = TESTS
    environment = {**os.environ, "PYTHONPATH": f"{here}:{here.parent}"}
    command = [sys.executable, "-c", PROGRAM, tmp_path]
    parent = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True)
    assert within(60, lambda: (tmp_path / "hang").exists() and len(pids(tmp_path, "hang")) == 2)
    os.killpg(parent.pid, ending) if whole_group else parent.send_signal(ending)
    assert parent.wait(10) == code
    assert within(5, lambda: not any(alive(int(pid)) for pid in pids(tmp_path, "hang")))
    assert "Traceback" not in parent.communicate()[1]


def call_closed(sandbox, folder):
    with pytest.raises(BrokenExecutor):
        sandbox(Words(("hang",), folder))
