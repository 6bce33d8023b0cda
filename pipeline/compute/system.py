"""System calls that Python has no function for."""

import ctypes
from functools import cache
from typing import Any

_NO_NEW_PRIVILEGES = 38


@cache
def _library() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: int | bytes | None) -> int:
    """A system call by its number -> its result; -1 where it failed, and then `ctypes.get_errno` tells why."""
    ready = [value if isinstance(value, bytes | None) else ctypes.c_long(value) for value in arguments]
    return int(_library().syscall(ctypes.c_long(number), *ready))


def forgo_privileges() -> None:
    """Let no program give this process or a child of it more rights than it has. Raises OSError."""
    if _library().prctl(_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS is refused")
