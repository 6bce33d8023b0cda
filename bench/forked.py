"""Runs commands of the pipeline as forks of a process that has already imported their modules, for fast starts."""

import ctypes
import gc
import os
import runpy
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

# For a tiny project, imports take longer than the work of the commands.
gc.disable()
for _module in (
    "stages.train_model",
    "stages.evaluate_model",
    "stages.report_run",
    "stages.export_onnx",
    "onnxruntime",
    "onnxscript.optimizer",
    "onnxscript.rewriter",
    "torch.onnx._internal.exporter._core",
    "dvc.cli",
    "dvc.repo.reproduce",
):
    __import__(_module)
gc.freeze()  # forks need not search what was imported for garbage, which would also copy its memory
gc.enable()

NEW_MOUNTS = 0x20000  # CLONE_NEWNS
POLL_SECONDS = 0.002
PLACES = ("/tmp", "/var/tmp")


def start(
    module: str,
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    said: Path,
    scratch: Path | None = None,
) -> int:
    """Run a module with arguments in a folder, with its output in a file -> the process id.

    With `scratch`, all folders for temporary files are replaced by that one.
    """
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            _enter(folder, environment, said, scratch)
            code = _call(module, words)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return pid


def wait(pid: int, seconds: float | None = None) -> int | None:
    """The exit code of a process of `start`, negative if a signal ended it; None if it is still running."""
    if seconds is None:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_SECONDS)
    return None


def _enter(folder: Path, environment: Mapping[str, str], said: Path, scratch: Path | None) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    target = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, source in enumerate((nothing, target, target)):
        os.dup2(source, number)
    tempfile.tempdir = None  # clears the cache
    if scratch:
        if ctypes.CDLL(None).unshare(NEW_MOUNTS):
            raise PermissionError("unshare")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        for place in PLACES:
            subprocess.run(["mount", "--bind", str(scratch), place], check=True)


def _call(module: str, words: Sequence[str]) -> int:
    """The exit code of the module, run as `python -m` runs it."""
    sys.argv = [module, *words]
    sys.modules.pop(module, None)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0
