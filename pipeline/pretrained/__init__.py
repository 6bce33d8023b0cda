"""The pretrained networks in a folder, in sandboxed child processes, one each: frames -> checked features.

The files are untrusted, and TorchScript files are programs. On a CPU, a network only needs its own files and executable
memory (see `Permissions`). A GPU needs device files and driver calls that the sandbox denies, so there the networks run
in this process.
"""

import os
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.compute.child import BadAnswer, ChildFault, Failure, Work, check_text
from pipeline.compute.isolation import Permissions, find_missing
from pipeline.compute.sandbox import Sandbox, SandboxMode, refuse_or_warn
from pipeline.errors import UserError
from pipeline.pretrained.networks import (
    NETWORK_PATHS,
    NETWORKS,
    CaptionNetwork,
    Network,
    NetworkName,
    check_files,
    digest_network,
    import_code,
    list_files,
)
from pipeline.records import Frames

SECONDS = 3600.0  # per request: a network with a billion weights takes minutes for a few clips
MAX_FEATURES = 2**16  # of a clip
CPU = torch.device("cpu")

PretrainedNetworks = Mapping[NetworkName, Network]


class Question(NamedTuple):
    """A request to a child: features of clips, vectors of captions, or whether it can take this many frames."""

    clips: Frames | None = None
    captions: tuple[str, ...] = ()
    frames: int = 0  # 0: whether it can be loaded

    @property
    def rows(self) -> int:
        """The number of rows of the answer; 0 if the answer is a text."""
        return len(self.captions) if self.clips is None else len(self.clips)


class NetworkFunction:
    """Loads one network in the child at the first request, and keeps it. Answers are checked in the parent."""

    def __init__(self, name: NetworkName, path: Path, threads: int) -> None:
        self.name, self.path, self.threads = name, path, threads
        self.permissions = Permissions(
            frozenset(_list_paths(path)), memory_bytes=psutil.virtual_memory().available, machine_code=True
        )
        self._network: Network | None = None  # in the child
        self._width = 0  # of its features, known from the first answer; in the parent

    def __reduce__(self) -> tuple[Callable[..., "NetworkFunction"], tuple[NetworkName, Path, int]]:
        return _rebuild_in_child, (self.name, self.path, self.threads)

    def list_steps(self, _: Question) -> Mapping[str, Sequence[str]]:
        """The question is one item."""
        return {"answer": ("answer",)}

    def find_permissions(self, _: Question) -> Permissions:
        """The files of the network."""
        return self.permissions

    def count_bytes(self, task: Question, _: str) -> int:
        """The maximum size of the answer, in float64."""
        return task.rows * MAX_FEATURES * np.dtype(np.float64).itemsize

    def prepare(self, _: Question) -> None:
        """Does nothing: loading is part of the first answer, so that the time limit applies."""

    def work(self, task: Question, item: str, _failures: Mapping[str, Failure], _scratch: str) -> Work:
        """In the child: load the network if necessary, and answer."""
        yield item
        if self._network is None:
            torch.set_num_threads(self.threads)  # as in the parent: sums depend on it in the last bits
            self._network = NETWORKS[self.name](self.path, CPU)
        if not task.rows:
            return self._network.find_obstacle(task.frames) if task.frames else "", ()
        if task.clips is not None:
            return "", (self._network.extract_all(task.clips).data,)
        assert isinstance(self._network, CaptionNetwork)
        return "", (self._network.embed_captions(task.captions).contiguous().numpy().data,)

    def check(self, task: Question, _: str, value: Any, content: bytearray) -> str | NDArray[np.float64]:
        """A text, or finite values with the same width as all answers before. Raises BadAnswer."""
        text = check_text(value)
        if not task.rows:
            return text
        width, rest = divmod(len(content), task.rows * np.dtype(np.float64).itemsize)
        if rest or not width or width != (self._width or width):
            raise BadAnswer(f"{len(content):,} bytes of features of {task.rows} rows")
        features = np.frombuffer(content, np.float64).reshape(task.rows, width)
        if not np.isfinite(features).all():
            raise BadAnswer("features that are not finite")
        self._width = width
        return features

    def finish(self, _: Question, found: Mapping[str, Any], failures: Mapping[str, Failure]) -> Any:
        """The one answer. Raises UserError if there is none."""
        for failure in failures.values():
            raise _describe_missing_answer(self.path, failure.detail)
        return found["answer"]


def _rebuild_in_child(name: NetworkName, path: Path, threads: int) -> NetworkFunction:
    """Unpickle in the child, before the sandbox is applied: imports the network's code, which reads the user's name.

    Import errors are ignored here; they are raised when the network is loaded.
    """
    with suppress(UserError):
        import_code(name)
    return NetworkFunction(name, path, threads)


def _describe_missing_answer(path: Path, detail: str) -> UserError:
    """The error for a network that gives no answer."""
    return UserError(f"{path}: no features come from this network ({detail}); take another file")


def _list_paths(path: Path) -> set[str]:
    """The folder or file, and the targets of links in the folder, as in the cache of Hugging Face."""
    return {os.path.realpath(file) for file in (path, *list_files(path))}


class SandboxedNetwork(Network):
    """A network whose file is opened only in a sandboxed child, which ends with this object or program."""

    def __init__(self, name: NetworkName, path: Path, mode: SandboxMode) -> None:
        """Raises UserError if the file is not this network."""
        self._sandbox = Sandbox(NetworkFunction(name, path.absolute(), torch.get_num_threads()), SECONDS, mode)
        weakref.finalize(self, self._sandbox.close)
        self.path = path
        self._ask(Question())
        self._obstacles: dict[int, str] = {}
        super().__init__(path, digest_network(path), CPU)

    def find_obstacle(self, frames: int) -> str:
        if frames not in self._obstacles:
            self._obstacles[frames] = self._ask(Question(frames=frames))
        return self._obstacles[frames]

    def extract(self, clips: Tensor) -> Tensor:
        return torch.from_numpy(self._ask(Question(clips.numpy())))

    def _ask(self, question: Question) -> Any:
        """The answer. Raises UserError if there is none, for example if the code of a TorchScript file fails."""
        try:
            return self._sandbox(question)
        except ChildFault as fault:
            raise _describe_missing_answer(self.path, fault.summary) from fault


class SandboxedCaptionNetwork(SandboxedNetwork, CaptionNetwork):
    """A sandboxed network that also embeds captions."""

    def embed_captions(self, texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(self._ask(Question(captions=tuple(texts))))


def list_networks(folder: Path) -> list[NetworkName]:
    """The names of the networks in `folder`."""
    return [name for name, path in NETWORK_PATHS.items() if (folder / path).exists()]


def load_networks(folder: Path, device: torch.device, mode: SandboxMode) -> PretrainedNetworks:
    """The networks in `folder`, by name, sandboxed according to `mode`.

    Raises UserError if a file is not the network of its name, or a required sandbox is not available.
    """
    if mode == "off":
        return _load_here(folder, device)
    if device.type != "cpu":
        reason = "pretrained networks run on a GPU outside the sandbox"
        if mode == "require":
            raise UserError(f"{reason}, which compute.sandbox requires; take devices: cpu, or no {folder}")
        print(f"warning: {reason}; with devices: cpu they are inside", file=sys.stderr)
        return _load_here(folder, device)
    refuse_or_warn(find_missing(), mode)
    return {name: _open(name, path, mode) for name, path in _find_networks(folder).items()}


def _load_here(folder: Path, device: torch.device) -> PretrainedNetworks:
    return {name: NETWORKS[name](path, device) for name, path in _find_networks(folder).items()}


def _find_networks(folder: Path) -> dict[NetworkName, Path]:
    """The paths of the networks in `folder`, by name. Raises UserError if one of them lacks a file.

    That is found before any network is loaded, which can take minutes.
    """
    paths = {name: folder / NETWORK_PATHS[name] for name in list_networks(folder)}
    for name, path in paths.items():
        check_files(path, name)
    return paths


def _open(name: NetworkName, path: Path, mode: SandboxMode) -> Network:
    described = issubclass(NETWORKS[name], CaptionNetwork)
    return (SandboxedCaptionNetwork if described else SandboxedNetwork)(name, path, mode)
