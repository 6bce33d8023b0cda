"""Starts the processes of a run, one per device, unless torchrun does; handles stop requests and explains failures."""

import logging
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path, PurePath
from types import FrameType
from typing import Any, Self

import psutil
import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from pipeline.distributed import PeerLost, Rank, use_device
from pipeline.errors import INTERRUPTED, Interrupted, UserError, catch_fault, first_line

PATIENCE = timedelta(minutes=10)  # timeout of collectives: the others wait while rank 0 saves states and draws samples
SAVING = 300  # seconds for ranks to save their state after a stop request
LINGER = 5.0  # seconds; the launcher polls its processes ten times a second
LOST = 76  # exit code of a rank that has lost another
NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")  # set by torchrun, as are the next three
RUN_ID, ADDRESS, PORT = "TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT"
PYTHON = re.compile(r"(python|pypy)[\d.]*")
Task = Callable[..., None]  # (rank, *arguments)


def _under_torchrun() -> bool:
    """Whether torchrun started this process, as one of the ranks."""
    return RUN_ID in os.environ


def world_size(devices: list[torch.device]) -> int:
    """Processes of the whole run, over all nodes. Raises UserError if variables of torchrun contradict each other."""
    if _under_torchrun():
        return _read_numbers()[1]
    rank, world = (os.environ.get(name, "") for name in NUMBERS[:2])
    if rank and world.isdecimal() and int(world) > 1:  # other launchers set these; WORLD_SIZE alone may be left over
        raise UserError(
            f"RANK is {rank} and WORLD_SIZE is {world}, but torchrun did not start this process, which would train "
            "alone; start it with torchrun (docs/how-to/train-on-several-devices.md), or unset RANK"
        )
    return len(devices)


def _read_numbers() -> tuple[int, int, int, int]:
    """NUMBERS. Raises UserError if they, the address or the port are not as torchrun sets them."""
    texts = {name: os.environ.get(name, "") for name in (*NUMBERS, PORT)}
    faults = [f"{name} is {repr(text) if text else 'not set'}" for name, text in texts.items() if not text.isdecimal()]
    faults += [] if os.environ.get(ADDRESS) else [f"{ADDRESS} is not set"]
    if not faults:
        rank, world, local, here, _ = map(int, texts.values())
        if local < here and rank < world:
            return rank, world, local, here
        faults = [", ".join(f"{name} is {texts[name]}" for name in NUMBERS)]
    raise UserError(
        f"{RUN_ID} is set, as torchrun sets it, but {faults[0]}: it was left over from another run; start this one "
        f"with torchrun, or unset {RUN_ID}"
    )


def run_on(devices: list[torch.device], task: Task, *arguments: Any) -> None:
    """Call `task(rank, *arguments)` in one process per device; for a single device, in this one.

    Under torchrun, this process already is one of the ranks. Raises Interrupted or UserError if a rank did.
    """
    if _under_torchrun():
        try:
            _join(devices, task, arguments)
        except PeerLost as error:
            _linger()
            raise UserError(f"{_lost(error)}; the message of that rank says why") from None
    elif len(devices) == 1:
        use_device(devices[0])
        task(Rank(0, 1, devices[0]), *arguments)
    else:
        with tempfile.TemporaryDirectory() as folder:
            _launch(Path(folder), devices, task, arguments)


def _launch(reports: Path, devices: list[torch.device], task: Task, arguments: tuple[Any, ...]) -> None:
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=len(devices),
        run_id=str(os.getpid()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # a free port
        local_addr="localhost",  # the machine's own name need not resolve
        max_restarts=0,
        start_method="spawn",
        shutdown_timeout=SAVING,
    )
    logging.disable(logging.ERROR)  # the launcher would log tracebacks
    try:
        elastic_launch(config, _launched)(reports, devices, task, arguments)
    except SignalException:  # it was forwarded to the ranks, and all of them have ended
        raise Interrupted("training was asked to stop and has saved its state, unless it had just begun") from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        report = reports / str(rank)
        if failure.exitcode == INTERRUPTED:
            raise Interrupted(report.read_text(encoding="utf-8")) from None
        if failure.exitcode > 0 and not report.exists():  # a bug: its traceback is in the error
            raise
        raise UserError(_explain_failure(reports, devices, rank, failure)) from None
    finally:
        logging.disable(logging.NOTSET)


def _launched(reports: Path, devices: list[torch.device], task: Task, arguments: tuple[Any, ...]) -> None:
    """The main function of a rank: writes what ended it to a file in `reports`, for the launcher to report."""
    launcher = multiprocessing.parent_process()
    if launcher is None or not launcher.is_alive():  # killed before this process could register to end with it
        sys.exit(LOST)
    report = reports / os.environ["RANK"]
    try:
        ended = catch_fault(lambda: _join(devices, task, arguments))
    except PeerLost as error:
        report.write_text(_lost(error), encoding="utf-8")
        _linger()
        sys.exit(LOST)
    if ended:
        message, code = ended
        report.write_text(message, encoding="utf-8")
        sys.exit(code)


def _explain_failure(reports: Path, devices: list[torch.device], rank: int, failure: ProcessFailure) -> str:
    """What ended the run, in which `rank` failed first."""
    if failure.exitcode == LOST:
        silent = [number for number in range(len(devices)) if not (reports / str(number)).exists()]
        if silent:
            names = ", ".join(f"{number} of {len(devices)} ({devices[number]})" for number in silent)
            return f"rank {names} did not answer the others; the last saved state is kept: run the same command again"
    if failure.exitcode < 0:
        name = f"rank {rank} of {len(devices)} ({devices[rank]})"
        cause = ", most likely because memory ran out (dmesg tells)" if failure.exitcode == -signal.SIGKILL else ""
        return (
            f"{name} was killed by {failure.signal_name()}{cause}; the last saved state is kept: run the same command "
            "again, with a lower train.batch_clips or fewer devices where it was memory"
        )
    return (reports / str(rank)).read_text(encoding="utf-8")


def _join(devices: list[torch.device], task: Task, arguments: tuple[Any, ...]) -> None:
    rank, world, local, here = _read_numbers()
    if devices[0].type == "cuda" and here > len(devices):
        raise UserError(
            f"torchrun started {here} processes on this node, but devices names {len(devices)} GPUs; "
            f"give --nproc-per-node={len(devices)}"
        )
    device = devices[local % len(devices)]
    use_device(device, sharers=here)
    waiting = signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python would handle it only after the wait
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    except RuntimeError as error:
        raise PeerLost(first_line(error)) from error
    signal.signal(signal.SIGINT, waiting)
    task(Rank(rank, world, device), *arguments)
    dist.destroy_process_group()  # not after an error, since it would wait for lost ranks


def _lost(error: PeerLost) -> str:
    return f"another rank has ended or hangs ({error})"


def _linger() -> None:
    """Wait, so that the launcher first sees the rank that failed first; SIGTERM ends the wait."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(LINGER)


class StopRequests:
    """Within the context, a first signal only sets the flag; a second one acts as usual, unless `patient`.

    The flag is also set if a parent DVC process has ended, since DVC does not forward SIGTERM to its stages, or if
    torchrun was killed, which would leave its processes running.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self._asked = False
        self._patient = patient
        parents = psutil.Process().parents()
        dvc = [parent for parent in parents if is_dvc(_command(parent))]
        self._owners = [*dvc[:1], *(parents[:1] if _under_torchrun() else [])]
        self._before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for name in (signal.SIGINT, signal.SIGTERM):
            self._before[name] = signal.signal(name, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)

    def __bool__(self) -> bool:
        return self._asked or any(_has_ended(owner) for owner in self._owners)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._asked = True
        if not self._patient:
            signal.signal(number, self._before[signal.Signals(number)])


def is_dvc(command: Sequence[str]) -> bool:
    """Whether a command line runs DVC, as `dvc` or `python -m dvc`, not merely mentions it."""
    names = [PurePath(word).name for word in command]
    if not names or names[0] == "dvc":
        return bool(names)
    if not PYTHON.fullmatch(names[0]):
        return False
    named = [word for word in command[1:] if word in ("-m", "-c") or not word.startswith("-")]
    return named[:2] == ["-m", "dvc"] or PurePath(*named[:1]).name == "dvc"


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _has_ended(process: psutil.Process) -> bool:
    try:  # psutil may report an ended process that was not yet reaped as running
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
