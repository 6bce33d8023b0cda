"""Workers on a Ray cluster: the one that RAY_ADDRESS names, or one that is started here and stopped afterwards.

A worker is an actor of one CPU with a sandbox. When its node is lost another one is requested, and its task goes to
whichever worker is free first. Tasks and results are small: paths travel, frames never do.
"""

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from pipeline.compute.pool import Worker
from pipeline.compute.sandbox import Sandbox, SandboxedFunction, SandboxMode
from pipeline.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")

LOCAL = "local"  # what Ray calls a cluster of this machine, for this run
LOCAL_OPTIONS = {"include_dashboard": False, "object_store_memory": 100_000_000}  # about the least; it stays empty
CONNECT_SECONDS = 10
MOST_LOSSES = 3  # of one worker, without a result in between; more is no accident


class _RemoteSandbox(Generic[Task, Result]):
    """What runs in the actor."""

    def __init__(self, function: SandboxedFunction[Task, Result], seconds: float, mode: SandboxMode) -> None:
        self.sandbox = Sandbox(function, seconds, mode)

    def start(self) -> None:
        """Returns once there is an actor."""

    def work(self, task: Task) -> Result:
        return self.sandbox(task)


class _ClusterWorker(Generic[Task, Result]):
    """An actor as seen from here, and those that follow it when it is lost."""

    def __init__(self, start: Callable[[], Any], lost: type[Exception]) -> None:
        self.start, self.lost = start, lost
        self.losses = 0
        self.begin()

    def begin(self) -> None:
        self.handle = self.start()
        self.ready: Future[None] = self.handle.start.remote().future()

    def submit(self, task: Task) -> Future[Result]:
        future: Future[Result] = self.handle.work.remote(task).future()
        return future

    def is_replaced(self, future: Future[Result]) -> bool:
        if isinstance(future.exception(), self.lost) and self.losses < MOST_LOSSES:
            self.losses += 1
            self.begin()
            return True
        self.losses = 0
        return False


@contextmanager
def cluster_workers(
    function: SandboxedFunction[Task, Result],
    workers: int | Literal["auto"],
    tasks: int,
    seconds: float,
    mode: SandboxMode,
) -> Iterator[list[Worker[Task, Result]]]:
    """Yield an actor for every CPU of the cluster, or `workers` of them; end them and leave the cluster."""
    ray = load_ray("compute.backend ray")
    address = os.environ.get("RAY_ADDRESS") or LOCAL
    options = LOCAL_OPTIONS if address == LOCAL else {}
    try:
        _check_reachable(address)
        with _Joining(address):
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
        cpus = int(ray.cluster_resources().get("CPU", 1))
        start = partial(ray.remote(num_cpus=1)(_RemoteSandbox).remote, function, seconds, mode)
        count = min(cpus if workers == "auto" else workers, tasks)
        yield [_ClusterWorker(start, ray.exceptions.RayActorError) for _ in range(count)]
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise _cluster_error(address, error) from None
    finally:
        ray.shutdown()  # ends the actors, and their children with them


def load_ray(asked_by: str) -> Any:
    """Ray, which reports its usage only where RAY_USAGE_STATS_ENABLED says so. Raises UserError without the extra."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError(f"{asked_by} needs Ray, which is not installed; pip install 't2v[ray]'") from None
    return ray


class _Joining:
    """Around the start of Ray: turns what it raises where there is no cluster, or another version, into UserError.

    Ray raises a bare Exception where one of its processes starts too late, so that is recognised by its class.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is Exception or isinstance(error, (ConnectionError, RuntimeError, ValueError)):
            raise _cluster_error(self.address, error) from None


def _check_reachable(address: str) -> None:
    """Try host:port, since Ray itself would try for many minutes; other addresses are left to it."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise _cluster_error(address, error) from None


def _cluster_error(address: str, error: object) -> UserError:
    """Ray names the fault in its first line and the cause in its last one; between are ids and tracebacks."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9]*m", "", str(error)).splitlines() if line.strip()]
    detail = " ... ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))
    return UserError(f"Ray ({address}): {detail}; see docs/how-to/transcode-on-ray.md, then run the same command again")
