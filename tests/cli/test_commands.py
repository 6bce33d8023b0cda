"""What all commands of `t2v` have in common: how they end, and what they print on."""

import os
import subprocess
import sys

import pytest
from locations import ROOT

INTERRUPTED = "interrupted: nothing half-written was kept; run the same command again\n"
STRUCK = {
    "import": "from pipeline.cli import commands as c; c.import_module = lambda _: signal.raise_signal(signal.SIGINT)",
    "work": "from pipeline.cli import doctor; doctor.CHECKS = {'git': lambda: signal.raise_signal(signal.SIGINT)}",
}


def run(*words, **environment):
    """A process of its own -> what it answered."""
    words = [sys.executable, *words]
    return subprocess.run(words, cwd=ROOT, capture_output=True, env=os.environ | environment, check=False)


@pytest.mark.parametrize("when", STRUCK)
def test_ctrl_c_ends_a_command_as_it_ends_a_stage(when):
    answer = run("-c", f"import signal; {STRUCK[when]}; from pipeline.cli import main; main()", "doctor")
    assert (answer.returncode, answer.stdout, answer.stderr.decode()) == (75, b"", INTERRUPTED)


# A finder that presses Ctrl-C when Typer, the first of the slow imports, is looked for.
STRUCK_AT_ONCE = """
import signal, sys
class Finder:
    def find_spec(name, path=None, target=None):
        if name == "typer":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder)
"""


@pytest.mark.parametrize(
    ("start", "code"), [("from pipeline.cli import main; main()", 130), ("import stages.filter_labels", 75)]
)
def test_ctrl_c_at_the_very_start_is_answered_as_well(start, code):
    answer = run("-c", f"{STRUCK_AT_ONCE}{start}")
    message = "interrupted: nothing has begun; run the same command again\n"
    assert (answer.returncode, answer.stdout, answer.stderr.decode()) == (code, b"", message)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_that_the_terminal_cannot_show_are_escaped(tmp_path, encoding):
    """A strict stream is that of most languages; Python's own setting is lenient in the language C alone."""
    name = os.fsdecode(b"caf\xe9-\xc3\xa9.png")
    path = tmp_path / name
    path.write_bytes(b"broken")
    answer = run("-m", "pipeline.cli", "verify", str(path), PYTHONIOENCODING=f"{encoding}:strict")
    shown = "caf\\udce9-\\xe9.png" if encoding == "ascii" else "caf\\udce9-é.png"
    assert answer.returncode == 1
    assert f"{tmp_path}/{shown}: has no seal" in answer.stdout.decode()
    assert answer.stderr == b""
