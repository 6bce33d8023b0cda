"""A bound on the memory that untrusted work may take, whatever a file says of itself."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    limit = pages * resource.getpagesize() + allowed
    if before[1] != resource.RLIM_INFINITY:
        limit = min(limit, before[1])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
