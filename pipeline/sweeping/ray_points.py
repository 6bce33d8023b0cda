"""Points as tasks on a Ray cluster whose nodes share the project's folder (the extra `ray`).

`python -m pipeline.sweeping.ray_points -- FOLDER NAME OPTIONS` waits for the task and ends as it ends. Where that
process is gone, Ray ends the process that started the point, and the point notices, saves and stops.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.compute.cluster import load_ray
from pipeline.errors import Interrupted, UserError, first_line, run
from pipeline.params.base import DEVICES_VARIABLE, VISIBLE_GPUS
from pipeline.sweeping.point import CORE_COUNT, build_command
from pipeline.sweeping.pool import PATIENCE, PAUSE, mark

ADDRESS = "RAY_ADDRESS"
CONNECT_SECONDS = 10
KINDS = {"num_cpus": "CPU", "num_gpus": "GPU"}  # what a task may ask for, and Ray's name of it on a node


def check_tasks(options: Sequence[str]) -> None:
    """Raises UserError where the cluster is not there, or has no node for a task with these options."""
    asked = _read_options(options)
    with _joined() as ray:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(KINDS[kind], 0) >= count for kind, count in asked.items()) for node in nodes):
        have = "; ".join(", ".join(f"{kind} {node.get(kind, 0):g}" for kind in KINDS.values()) for node in nodes)
        raise UserError(f"--job-options {' '.join(options)}: no node of the Ray cluster has as many; they have: {have}")


def main(folder: Path, name: str, options: str) -> None:
    """Run a point as a task and end with its exit code; what it prints goes to the point's log."""
    asked = _read_options(options.split())
    stop = _Stop()
    # Ours means GPUs of this machine; on the node Ray sets it.
    ours = {key: value for key, value in os.environ.items() if key != VISIBLE_GPUS} | mark(folder, name)
    environment = {DEVICES_VARIABLE: "auto", CORE_COUNT: str(asked["num_cpus"])} | ours
    with _joined() as ray:
        signal.signal(signal.SIGINT, stop.note)  # Ray has set its own
        task = ray.remote(max_retries=0, **asked)(_run_on_node)
        result = task.remote(
            build_command(folder, name), str(Path.cwd()), environment, str((folder / f"{name}.log").resolve())
        )
        code = _wait_for(ray, result, stop)
    if stop.asked:
        raise Interrupted("the point was asked to stop")
    sys.exit(code)


class _Stop:
    """Whether this process was asked to stop: by SIGINT, or by the end of the process that started it."""

    def __init__(self) -> None:
        self._parent, self._noted = os.getppid(), False

    def note(self, *_: object) -> None:
        self._noted = True

    @property
    def asked(self) -> bool:
        return self._noted or os.getppid() != self._parent


def _wait_for(ray: Any, result: Any, stop: _Stop) -> int:
    """The exit code of the point; 1 where it was stopped. Raises UserError where its node is lost."""
    deadline = None
    while not ray.wait([result], timeout=PAUSE)[0]:
        if stop.asked and deadline is None:
            deadline = time.monotonic() + PATIENCE + 2 * PAUSE
            ray.cancel(result)  # KeyboardInterrupt on the node
        elif deadline and time.monotonic() > deadline:
            ray.cancel(result, force=True)
    try:
        code: int = ray.get(result)
    except ray.exceptions.RayError as error:
        if stop.asked:
            return 1
        raise UserError(f"Ray has lost the point: {first_line(error)}; run the same command again") from None
    return code


def _run_on_node(command: Sequence[str], folder: str, environment: dict[str, str], log: str) -> int:
    """The exit code of a point that runs on this node, saved and stopped when the task is cancelled."""
    seen = {VISIBLE_GPUS: os.environ.get(VISIBLE_GPUS, "")}  # set by Ray
    with Path(log).open("ab") as file:
        process = subprocess.Popen(
            command, cwd=folder, env={**environment, **seen}, stdout=file, stderr=file, start_new_session=True
        )
    try:
        while process.poll() is None:
            time.sleep(PAUSE)
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _read_options(options: Sequence[str]) -> dict[str, float]:
    asked: dict[str, float] = {"num_cpus": 1}
    for option in options:
        kind, _, count = option.partition("=")
        if kind not in KINDS or not count.isdigit():
            raise UserError(f"--job-options {option!r}: a task on Ray asks for num_cpus=4, num_gpus=1 or both")
        asked[kind] = int(count)
    return asked


@contextmanager
def _joined() -> Iterator[Any]:
    """Yield Ray, joined to the cluster. Raises UserError where it is not installed or does not answer."""
    ray = load_ray("--on ray")
    address = os.environ.get(ADDRESS, "")
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()):
        raise UserError(f"--on ray: {ADDRESS} is {address!r}; it names the head of a cluster, such as head-node:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()  # Ray would try for minutes
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:  # another version of Ray or Python, too
        raise UserError(f"Ray ({address}): {first_line(error)}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


if __name__ == "__main__":
    run(main)
