"""Records the paths that sandboxed workers request: Landlock denies silently, but a seccomp listener sees all calls.

A watched function is pickled to its child as any other. In the child, before the sandbox is applied, it installs a
filter that notifies a listener of every call with a path, and sends the listener to the parent through a socket. The
parent reads the path from the child's memory, records it, and lets the kernel continue the call.

Of several filters, the kernel takes the most severe action: kill, then fail, notify, allow. Calls that the filter of
the sandbox kills for or refuses (connections, forks, links, truncation by name) are therefore not seen here; calls that
it allows are, and then Landlock decides. A malicious thread may replace a path after it was read here: the listener
only observes, and protects nothing.
"""

import array
import ctypes
import fcntl
import os
import platform
import re
import select
import socket
import struct
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from pipeline.compute import linux
from pipeline.compute.isolation import Permissions, list_rights

_FILTER = {"x86_64": 317, "aarch64": 277}.get(platform.machine(), -1)  # seccomp
_SET_FILTER, _GET_ACTION, _NEW_LISTENER = 1, 2, 8
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_RECEIVE, _SEND, _GO_ON = 0xC0502100, 0xC0182101, 1
_WAITS = 0x80082102  # checks that the call is still pending, so that the memory of the right process was read
_NOTICE = struct.Struct("=QIIiIQ6Q")  # id, process, flags, call, machine, instruction, arguments
_ANSWER = struct.Struct("=QqiI")  # id, value, error, flags
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_SINCE = (5, 5)  # Linux version from which a listener can let the kernel continue
_RESTRICT = 446  # landlock_restrict_self
_HERE = 0xFFFFFF9C  # AT_FDCWD: relative to the current folder of the process
_PAGE, _LONGEST = 4096, 4096

_TO_ADD = linux.ADD & ~linux.WRITE
_TO_REMOVE = 1 << 62  # permitted by no sandbox


class _Call(NamedTuple):
    """The paths of a call as pairs of argument numbers (folder or None, path), and the rights that it needs."""

    name: str
    numbers: tuple[int | None, int | None]  # on x86-64 and aarch64
    paths: tuple[tuple[int | None, int], ...]
    need: int = 0  # 0: determined by the open flags
    flags: int = -1  # number of the argument with open flags


_CALLS = (
    _Call("open", (2, None), ((None, 0),), flags=1),
    _Call("openat", (257, 56), ((0, 1),), flags=2),
    _Call("openat2", (437, 437), ((0, 1),), flags=2),
    _Call("creat", (85, None), ((None, 0),), linux.WRITE),
    _Call("truncate", (76, 45), ((None, 0),), linux.WRITE),
    _Call("execve", (59, 221), ((None, 0),), linux.EXECUTE),
    _Call("execveat", (322, 281), ((0, 1),), linux.EXECUTE),
    _Call("mkdir", (83, None), ((None, 0),), _TO_ADD),
    _Call("mkdirat", (258, 34), ((0, 1),), _TO_ADD),
    _Call("mknod", (133, None), ((None, 0),), _TO_REMOVE),
    _Call("mknodat", (259, 33), ((0, 1),), _TO_REMOVE),
    _Call("unlink", (87, None), ((None, 0),), _TO_REMOVE),
    _Call("unlinkat", (263, 35), ((0, 1),), _TO_REMOVE),
    _Call("rmdir", (84, None), ((None, 0),), _TO_REMOVE),
    _Call("rename", (82, None), ((None, 0), (None, 1)), _TO_REMOVE),
    _Call("renameat", (264, 38), ((0, 1), (2, 3)), _TO_REMOVE),
    _Call("renameat2", (316, 276), ((0, 1), (2, 3)), _TO_REMOVE),
    _Call("link", (86, None), ((None, 0), (None, 1)), _TO_REMOVE),
    _Call("linkat", (265, 37), ((0, 1), (2, 3)), _TO_REMOVE),
    _Call("symlink", (88, None), ((None, 1),), _TO_REMOVE),
    _Call("symlinkat", (266, 36), ((1, 2),), _TO_REMOVE),
)
_BY_NUMBER = {
    number: call
    for call in _CALLS
    for machine, number in zip(linux.MACHINES, call.numbers, strict=True)
    if number is not None and machine == platform.machine()
}


def find_obstacle() -> str:
    """Why this machine does not support watching; empty if it does."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in linux.MACHINES:
        return f"{sys.platform} on {machine} has no seccomp that is known here"
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    if not found or tuple(map(int, found.groups())) < _SINCE:
        return f"Linux {platform.release()} is older than {'.'.join(map(str, _SINCE))}"
    action = ctypes.c_uint32(_NOTIFY)
    if linux.call(_FILTER, _GET_ACTION, 0, ctypes.addressof(action)) != 0:
        return "this kernel or container has no notification by seccomp"
    return ""


def _install() -> int:
    """Install the filter in this process and its children -> the listener. Raises OSError if it is refused."""
    machine = platform.machine()
    watched = [*_BY_NUMBER, _RESTRICT, _FILTER]
    steps = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, linux.MACHINES[machine]), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, 0)]
    for number in watched:
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _NOTIFY)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    buffer = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(buffer)))
    linux.set_no_new_privs()
    listener = linux.call(_FILTER, _SET_FILTER, _NEW_LISTENER, ctypes.addressof(program))
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return listener


def _arrive(function: object, address: str) -> object:
    """In the child: install the filter, or send the reason why not. No file may be opened before the parent listens."""
    with socket.socket(socket.AF_UNIX) as parent:
        parent.connect(address)
        try:
            listener = _install()
        except OSError as error:
            parent.sendall(str(error).encode())
            return function
        rights = array.array("i", [listener])
        parent.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        os.close(listener)
    return function


class Watch:
    """The requests and permissions of the children of one function."""

    def __init__(self, watcher: "Watcher") -> None:
        self.address = str(Path(tempfile.mkdtemp(dir=watcher.folder)) / "socket")
        self._watcher = watcher
        self._rights: dict[str, int] = {}  # prefix of a path -> mask
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.address)
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def permit(self, permissions: Permissions) -> None:
        """Record permissions of the children, in addition to earlier ones."""
        rights = [(f"{os.path.realpath(path)}/", mask) for path, mask in list_rights(permissions, "")]
        if permissions.folder:
            rights.append((f"{os.path.realpath(permissions.folder)}/.scratch-", linux.ADD))
        for start, mask in rights:
            self._rights[start] = self._rights.get(start, 0) | mask

    def close(self) -> None:
        """Stop accepting children."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                child, _ = self._socket.accept()
            except OSError:  # closed
                return
            with child:
                told, descriptors, _, _ = socket.recv_fds(child, 1000, 1)
            if descriptors:
                threading.Thread(target=self._listen, args=(descriptors[0],), daemon=True).start()
            else:
                self._watcher.obstacle = f"a worker could not be watched: {told.decode()}"

    def _listen(self, listener: int) -> None:
        """Answer the calls of one child and its descendants, until all have ended."""
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        sandboxed = False
        while not poll.poll()[0][1] & (select.POLLHUP | select.POLLERR):
            notice = bytearray(_NOTICE.size)
            with suppress(OSError):  # the process was killed meanwhile
                fcntl.ioctl(listener, _RECEIVE, notice)
                number, process, _, call, _, _, *arguments = _NOTICE.unpack(notice)
                sandboxed = sandboxed or call == _RESTRICT or (call == _FILTER and arguments[0] == _SET_FILTER)
                requests = list(_read_requests(call, process, arguments))
                fcntl.ioctl(listener, _WAITS, number.to_bytes(8, sys.byteorder))
                if sandboxed:
                    for name, path, need in requests:
                        self._watcher.count(f"{name} {path}", outside=not self._covers(path, need))
                fcntl.ioctl(listener, _SEND, _ANSWER.pack(number, 0, 0, _GO_ON))
        os.close(listener)

    def _covers(self, path: str, need: int) -> bool:
        place = f"{path if path.startswith('/proc/') else os.path.realpath(path)}/"
        given = 0
        for start, mask in list(self._rights.items()):
            if place.startswith(start):
                given |= mask
        return given & need == need


def _read_requests(number: int, process: int, arguments: list[int]) -> Iterator[tuple[str, str, int]]:
    """For each path of a call: the name of the call, the path with links unresolved, and the needed rights."""
    if (call := _BY_NUMBER.get(number)) is None:
        return
    need = call.need
    if call.flags >= 0:
        flags = arguments[call.flags]
        if call.name == "openat2":  # a struct that starts with the flags
            flags = int.from_bytes(_read_memory(process, flags, 8), sys.byteorder)
        writes = flags & (os.O_ACCMODE | os.O_TRUNC)
        need = (linux.WRITE if writes else 0) | (_TO_ADD if flags & os.O_CREAT else 0)
    for folder, place in call.paths:
        text = os.fsdecode(_read_memory(process, arguments[place], _LONGEST).split(b"\0")[0])
        path = os.path.normpath(_find_folder(process, _HERE if folder is None else arguments[folder]) / text)
        read = linux.READ_FOLDER if os.path.isdir(path) else linux.READ_FILE  # noqa: PTH112
        yield call.name, re.sub(rf"^/proc/{process}(?=/|$)", "/proc/self", path), need or read


def _find_folder(process: int, descriptor: int) -> Path:
    """The folder that a path is relative to."""
    number = descriptor & 0xFFFFFFFF
    with suppress(OSError):
        return Path(f"/proc/{process}/cwd" if number == _HERE else f"/proc/{process}/fd/{number}").readlink()
    return Path("/?")


def _read_memory(process: int, address: int, most: int) -> bytes:
    """Bytes up to the first zero, inclusive; page by page, since the next page may not be mapped."""
    found = b""
    with suppress(OSError), Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        while len(found) < most and (most < _LONGEST or b"\0" not in found):
            at = address + len(found)
            found += os.pread(memory.fileno(), min(most - len(found), _PAGE - at % _PAGE), at) or b"\0"
    return found


class _Watched:
    """A sandboxed function whose children are watched; unpickled in the child, it is the function itself."""

    def __init__(self, function: Any, watch: Watch) -> None:
        self._function, self._watch = function, watch

    def find_permissions(self, task: Any) -> Permissions:
        permissions: Permissions = self._function.find_permissions(task)
        self._watch.permit(permissions)
        return permissions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, str]]:
        return _arrive, (self._function, self._watch.address)


class Watcher:
    """Counts the requests of the sandboxed children of watched functions, by call and path."""

    def __init__(self, *, watched: bool = True) -> None:
        self.obstacle = find_obstacle() if watched else "it was not wanted"  # why not everything is watched
        self.inside = 0  # permitted requests
        self.outside: Counter[str] = Counter()  # denied requests: `call path`
        self.watches: list[Watch] = []
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self._counting = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._folder.cleanup()

    def release(self) -> None:
        """Stop accepting children of the functions watched so far."""
        while self.watches:
            self.watches.pop().close()

    def wrap(self, function: Any) -> Any:
        """The sandboxed function, watched; unchanged if watching is not supported."""
        if self.obstacle:
            return function
        self.watches.append(Watch(self))
        return _Watched(function, self.watches[-1])

    def count(self, request: str, *, outside: bool) -> None:
        """Record a request of a sandboxed worker."""
        with self._counting:
            self.inside += not outside
            self.outside[request] += outside

    def forget(self) -> Counter[str]:
        """The denied requests since the last call."""
        with self._counting:
            found, self.outside = +self.outside, Counter()
        return found
