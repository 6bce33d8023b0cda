"""How much memory a device has left, and what can be done where it runs out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from pipeline.errors import UserError, first_line
from pipeline.training.devices import Rank

# Of both versions of Linux's control groups: folder, limit, use, and what of the use is a cache of files that can go.
GROUPS = (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file")
OLD_GROUPS = (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


@contextmanager
def enough_memory(rank: Rank, batch_clips: int) -> Iterator[None]:
    """Turns running out of memory within its block into a UserError that says what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and "can't allocate memory" not in str(error):  # on a CPU torch has no class of its own for it
            raise
        part = batch_clips // rank.world
        raise UserError(
            f"{rank.device}: out of memory with {part} of train.batch_clips {batch_clips} on this device "
            f"({first_line(error)}); the last saved state is kept. Lower train.batch_clips or the widths of the "
            "networks, take more devices or end what else uses this one; `t2v plan` says what fits"
        ) from None


def free_memory(device: torch.device) -> int:
    """Bytes that may still be taken: of a GPU, else of the machine and of each control group around this process."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min([psutil.virtual_memory().available, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """What containers and schedulers leave, from this process's own group outwards."""
    own = Path("/proc/self/cgroup")
    for line in own.read_text(encoding="utf-8").splitlines() if own.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, limit, used, cache = OLD_GROUPS if controllers else GROUPS
        group = root / path.lstrip("/")
        for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(root))):
            if (folder / limit).is_file() and (
                allowed := (folder / limit).read_text(encoding="ascii").strip()
            ) != "max":
                cached = dict(row.split() for row in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
                yield int(allowed) - int((folder / used).read_text(encoding="ascii")) + int(cached[cache])
