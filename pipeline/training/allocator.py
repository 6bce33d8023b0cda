"""Freed memory stays with the process: the buffers of one step are those of the next."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
LARGEST = 1 << 30  # bytes


def keep_freed_memory() -> bool:
    """Tell the C library not to give large freed buffers back, if it is glibc; whether it agreed.

    Otherwise every step on a CPU maps its activations anew, and the kernel clears their pages.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, LARGEST))
