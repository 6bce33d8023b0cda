"""What a process irrevocably gives up before it opens an untrusted file: everything that decoding does not need.

Each part depends on the kernel. Where one is missing the rest is applied, and the missing part is named.
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

FILES = "files outside (Landlock, from Linux 5.13)"
CALLS = "system calls (seccomp, on x86-64 and aarch64)"
THREADS = "files outside, for threads that a library started"
PARTS = (FILES, CALLS, THREADS)

SINGLE_THREADED = {  # for a process that is to be sandboxed: a thread from before would stay outside
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
)  # names of variables, or their beginnings

LIBRARY_PATH = "LD_LIBRARY_PATH"
LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")  # which start a program that has libraries
PROCESSOR = ("/proc/cpuinfo", "/sys/devices/system/cpu")  # what it can; without them torch takes other instructions
PACKAGES = ("site-packages", "dist-packages")  # folders of installed packages, those of the user or the system as well
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")

SPARE_BYTES = 2**32  # of memory above the limit of one video: lists of archives, and what their reading takes
MOST_FILES = 256  # open at once
_KEPT = 0b110  # capabilities: to read files of other owners, as root in a container does
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITIES_VERSION = 0x20080522


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a sandboxed process may do, besides reading the code of this program and of its packages.

    `machine_code`: to write it to memory and run it. Decoders need none, so that a fault in one cannot be used for it;
    torch needs it: oneDNN makes the code of a layer when it first runs, for the processor, which may be asked for then.
    """

    read: frozenset[str] = frozenset()  # files, and folders with all that is in them
    programs: frozenset[str] = frozenset()  # files that may be started
    memory_bytes: int = 0  # beyond what the process has
    folder: str = ""  # where a folder is made for it to write in; empty: it writes no file
    machine_code: bool = False

    def cover(self, other: "Permissions") -> bool:
        """Whether nothing of `other` is missing here."""
        return self.join(other) == self

    def join(self, other: "Permissions") -> "Permissions":
        """What both need."""
        return Permissions(
            self.read | other.read,
            self.programs | other.programs,
            max(self.memory_bytes, other.memory_bytes),
            self.folder or other.folder,
            self.machine_code or other.machine_code,
        )


def find_missing() -> list[str]:
    """The parts of a sandbox that this machine lacks, of PARTS."""
    if sys.platform != "linux":
        return [FILES, CALLS]
    missing = [] if linux.read_landlock_version() else [FILES]
    return missing + ([] if linux.has_seccomp() else [CALLS])


def reduce_environment(variables: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Those of the variables that a sandboxed process gets: no password, no key.

    OpenCV leaves an empty entry in LD_LIBRARY_PATH, by which programs look for libraries in the current folder.
    """
    kept = {name: value for name, value in variables if name.startswith(PASSED_ON)}
    if LIBRARY_PATH in kept:
        kept[LIBRARY_PATH] = ":".join(filter(None, kept[LIBRARY_PATH].split(":")))
    return kept


def isolate_process(permissions: Permissions, scratch: str) -> list[str]:
    """Give up all but these needs, for this process and what it starts -> the missing parts, of PARTS.

    Files are made in the folder `scratch` only, if there is one. A part that the kernel refuses is missing, too.
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
    except OSError:  # a container may forbid what its kernel has
        return False
    return True


def list_rights(permissions: Permissions, scratch: str) -> Iterator[tuple[str, int]]:
    """Each path that a sandboxed process may use, with all that is in it, and how: a mask of `kernel`."""
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
    _lower_limit(resource.RLIMIT_NOFILE, MOST_FILES)
    if sys.platform == "linux":
        _lower_limit(resource.RLIMIT_DATA, count_memory() + memory_bytes + SPARE_BYTES)


def _lower_limit(kind: int, value: int) -> None:
    """Set a limit that cannot be raised again, except where it is lower already."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (_restrict_limit(soft, value), _restrict_limit(hard, value)))


def _restrict_limit(old: int, value: int) -> int:
    return value if old == resource.RLIM_INFINITY else min(value, old)


def _close_output() -> None:
    """Leave no way to the terminal."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _drop_capabilities() -> None:
    """Drop all capabilities of root but those to read files."""
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


def count_memory() -> int:
    """Private writable pages of this process, in bytes. Only Linux tells."""
    return int(os.pread(_open_memory_count(), 200, 0).split()[5]) * resource.getpagesize()


@contextmanager
def memory_limit(allowed: int) -> Iterator[None]:
    """Inside the block, allocations fail once this process has `allowed` bytes more than at its start.

    Counted are its private writable pages (RLIMIT_DATA), so mapped files and libraries are free. Programs that the
    block starts have the whole as their limit. Only Linux counts so; elsewhere there is no bound.
    """
    if sys.platform != "linux":
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _restrict_limit(before[1], count_memory() + allowed)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
