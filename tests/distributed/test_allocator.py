"""Large buffers that are freed and taken again cost no page faults."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from pipeline.distributed import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit("no glibc")
for _ in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64 << 20, dtype=torch.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Page faults of the 20th time that a buffer of 64 MiB is filled."""
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True)
    if "no glibc" in done.stderr:
        pytest.skip("the C library is not glibc")
    return int(done.stdout)


@pytest.mark.slow
def test_a_buffer_that_was_freed_is_taken_again_without_a_page_fault():
    assert faults("kept") < 100 < faults("given back")
