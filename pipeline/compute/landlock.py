"""Landlock: a process irrevocably gives up files, ports and other processes, as far as the kernel supports it.

The kernel's own documentation: https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os
import struct
from collections.abc import Iterable

from pipeline.compute.system import call, forgo_privileges

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # on every machine
_VERSION_FLAG, _PATH_RULE = 1, 1

EXECUTE, _WRITE, READ_FILE, READ_FOLDER = 1, 2, 4, 8
_REMOVE_FOLDER, _REMOVE_FILE, _MAKE_FOLDER, _MAKE_FILE, _CUT = 0x10, 0x20, 0x80, 0x100, 0x4000
READ = READ_FILE | READ_FOLDER
WRITE = READ | _WRITE | _CUT
ADD = WRITE | _MAKE_FILE | _MAKE_FOLDER  # never to remove: the files in a folder can then be counted
_OF_FILES = EXECUTE | _WRITE | READ_FILE | _CUT

_FILE_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}  # version -> all that it can withhold
_PORTS_SINCE, _SCOPES_SINCE = 4, 6
_PORTS = 3  # TCP: to be connected to, and to connect
_SCOPES = 3  # named sockets and signals of processes outside


def read_version() -> int:
    """Which version of Landlock this kernel has; 0 where it has none, or forbids it."""
    return max(call(_CREATE, None, 0, _VERSION_FLAG), 0)


def bounds_signals() -> bool:
    """Whether signals to processes outside are withheld."""
    return read_version() >= _SCOPES_SINCE


def restrict_files(rights: Iterable[tuple[str, int]]) -> None:
    """Leave this thread, and what it starts, so much right to each of these paths and to none else.

    Ports and, from version 6, processes outside are given up as a whole. A path that is not there is passed over.
    Raises OSError where the kernel refuses.
    """
    version = read_version()
    handled = max(mask for since, mask in _FILE_RIGHTS.items() if since <= version)
    attributes = struct.pack(
        "=QQQ", handled, _PORTS if version >= _PORTS_SINCE else 0, _SCOPES if version >= _SCOPES_SINCE else 0
    )
    known = attributes[: 24 if version >= _SCOPES_SINCE else 16 if version >= _PORTS_SINCE else 8]
    ruleset = _check(call(_CREATE, known, len(known), 0))
    try:
        for path, right in rights:
            _allow(ruleset, path, right & handled)
        forgo_privileges()
        _check(call(_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, right: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        right = right if os.path.isdir(path) else right & _OF_FILES  # noqa: PTH112
        _check(call(_ADD, ruleset, _PATH_RULE, struct.pack("=Qi", right, place), 0))
    finally:
        os.close(place)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock is refused: {os.strerror(number)}")
    return result
