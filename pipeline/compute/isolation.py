"""Isolates a process before it opens an untrusted file: it irrevocably drops all rights that decoding does not need.

Each part depends on the kernel. If one is missing, the others are applied, and the missing part is reported.
"""

import os
import platform
import resource
import shutil
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from pipeline.compute import linux

FILES = "access to other files (Landlock, from Linux 5.13)"
CALLS = "system calls (seccomp, on x86-64 and aarch64)"
THREADS = "access to other files by threads that a library started"
PARTS = (FILES, CALLS, THREADS)

SINGLE_THREADED = {  # for a process to be sandboxed: threads that already run would not be restricted
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
PASSED_ON = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_",
    "LD_",
    "DYLD_",
    "PYTHON",
    "IMAGEIO_",
    "T2V_",
    "ATEN_",
    "ONEDNN_",
    "DNNL_",
    "MKL_",
)  # names or prefixes of variables

LIBRARY_PATH = "LD_LIBRARY_PATH"
LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")  # of dynamically linked programs
PROCESSOR = ("/proc/cpuinfo", "/sys/devices/system/cpu")  # its features; without them, torch uses other instructions
PACKAGES = ("site-packages", "dist-packages")  # folders of installed packages, also of the user and the system
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")

SPARE_BYTES = 2**32  # of memory in addition to the limit of one video, for indexes of archives
MAX_FILES = 256  # open at once
_KEPT = 0b110  # capabilities to read files of other owners, as root in a container does
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITIES_VERSION = 0x20080522


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a sandboxed process may do, besides reading the code of this program and its packages.

    `machine_code`: whether memory may be made executable. Decoders do not need it, so an exploit cannot use it; torch
    does: oneDNN compiles layers just in time for the processor, whose features may then be read.
    """

    read: frozenset[str] = frozenset()  # files, and folders with their content
    programs: frozenset[str] = frozenset()  # files that may be executed
    memory_bytes: int = 0  # in addition to the memory it has at the start
    folder: str = ""  # in which a writable folder is created for it; empty: it writes no files
    machine_code: bool = False

    def cover(self, other: "Permissions") -> bool:
        """Whether these include all of `other`."""
        return self.join(other) == self

    def join(self, other: "Permissions") -> "Permissions":
        """The union of both."""
        return Permissions(
            self.read | other.read,
            self.programs | other.programs,
            max(self.memory_bytes, other.memory_bytes),
            self.folder or other.folder,
            self.machine_code or other.machine_code,
        )


def find_missing() -> list[str]:
    """The PARTS of a sandbox that this machine lacks."""
    if sys.platform != "linux":
        return [FILES, CALLS]
    missing = [] if linux.read_landlock_version() else [FILES]
    return missing + ([] if linux.has_seccomp() else [CALLS])


def reduce_environment(variables: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The environment variables passed to a sandboxed process: no passwords or keys.

    OpenCV leaves an empty entry in LD_LIBRARY_PATH, which makes programs load libraries from the current folder.
    """
    kept = {name: value for name, value in variables if name.startswith(PASSED_ON)}
    if LIBRARY_PATH in kept:
        kept[LIBRARY_PATH] = ":".join(filter(None, kept[LIBRARY_PATH].split(":")))
    return kept


def isolate_process(permissions: Permissions, scratch: str) -> list[str]:
    """Drop all rights but these permissions, for this process and its children -> the missing PARTS.

    Files can be created in the folder `scratch` only, if it is set. A part that the kernel refuses counts as missing.
    """
    missing = find_missing()
    _open_memory_count()
    _limit(permissions.memory_bytes, scratch)
    _close_output()
    if FILES not in missing:
        if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208
            missing.append(THREADS)
        _drop_capabilities()
        if not _is_done(partial(linux.restrict_files, list_rights(permissions, scratch))):
            missing.append(FILES)
    bounded = FILES not in missing and linux.bounds_signals()
    restrict = partial(
        linux.restrict_calls,
        programs=bool(permissions.programs),
        signals=bounded,
        machine_code=permissions.machine_code,
    )
    if CALLS not in missing and not _is_done(restrict):
        missing.append(CALLS)
    return missing


def _is_done(restrict: Callable[[], None]) -> bool:
    try:
        restrict()
    except OSError:  # a container may forbid what its kernel supports
        return False
    return True


def list_rights(permissions: Permissions, scratch: str) -> Iterator[tuple[str, int]]:
    """Each path that a sandboxed process may use, with its content, and the rights: a mask of `linux`."""
    paths = sysconfig.get_paths()
    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield paths[name], linux.READ
    for entry in sys.path:
        if entry.endswith(PACKAGES):
            yield entry, linux.READ
    yield str(Path(__file__).parents[1]), linux.READ
    yield os.devnull, linux.WRITE
    for path in permissions.read:
        yield path, linux.READ
    if permissions.machine_code:
        for path in PROCESSOR:
            yield path, linux.READ
    if permissions.programs:
        for path in (*permissions.programs, *LOADERS):
            yield path, linux.READ_FILE | linux.EXECUTE
        for path in LIBRARIES:
            yield path, linux.READ
    if scratch:
        yield scratch, linux.ADD


def _limit(memory_bytes: int, scratch: str) -> None:
    largest = shutil.disk_usage(scratch).free // 2 if scratch else 0
    _lower_limit(resource.RLIMIT_FSIZE, largest)
    _lower_limit(resource.RLIMIT_CORE, 0)
    _lower_limit(resource.RLIMIT_NOFILE, MAX_FILES)
    if sys.platform == "linux":
        _lower_limit(resource.RLIMIT_DATA, _count_memory() + memory_bytes + SPARE_BYTES)


def _lower_limit(kind: int, value: int) -> None:
    """Set a limit that cannot be raised again, unless it is already lower."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (_restrict_limit(soft, value), _restrict_limit(hard, value)))


def _restrict_limit(old: int, value: int) -> int:
    return value if old == resource.RLIM_INFINITY else min(value, old)


def _close_output() -> None:
    """Redirect the standard streams, so that it cannot write to the terminal."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _drop_capabilities() -> None:
    """Drop all capabilities except those to read files."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    permitted = next(int(line.split()[1], 16) for line in lines if line.startswith("CapPrm"))
    kept = permitted & _KEPT
    number = _CAPSET.get(platform.machine())
    if number is None or kept == permitted:
        return
    header, sets = struct.pack("=Ii", _CAPABILITIES_VERSION, 0), struct.pack("=6I", kept, kept, 0, 0, 0, 0)
    if linux.call(number, header, sets) != 0:
        raise OSError("capabilities cannot be dropped")


@cache
def _open_memory_count() -> int:
    return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC) if sys.platform == "linux" else -1


def _count_memory() -> int:
    """Private writable memory of this process, in bytes; on Linux only."""
    return int(os.pread(_open_memory_count(), 200, 0).split()[5]) * resource.getpagesize()


@contextmanager
def memory_limit(allowed: int) -> Iterator[None]:
    """A context in which allocations fail once this process has `allowed` bytes more than at its start.

    RLIMIT_DATA counts private writable pages, not mapped files and libraries. Programs started in the block inherit the
    limit. It has no effect on systems other than Linux.
    """
    if sys.platform != "linux":
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _restrict_limit(before[1], _count_memory() + allowed)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
