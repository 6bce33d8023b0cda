"""What is known of shards that have been read before, so that a large folder is not read whole at every start."""

import json
from pathlib import Path

from pipeline.files import digest_value, write_json
from pipeline.shards.digests import present, require_digests
from pipeline.shards.folder import read_index
from pipeline.states import ROOT, held

KNOWN = ROOT.parent / "shards"
STAMPS = "stamps.json"


def require_unaltered(folder: Path, known: Path = KNOWN) -> None:
    """Raises UserError where a shard of the folder is gone, cut off or altered since it was written.

    Each is read whole only once. After that its number on the disk, its length and the time of its last change stand
    for its bytes, as they do for DVC; the folder `known` keeps them. Of several processes one reads, the others wait.
    """
    shards = read_index(folder).shards
    kept = known / digest_value([shard.digest for shard in shards])[:16]
    with held(kept, wait=True):
        stamps, read = [_stamp(folder / shard.file) for shard in shards], _stamps_of(kept / STAMPS)
        if new := [shard for shard, stamp in zip(shards, stamps, strict=True) if read.get(stamp) != shard.digest]:
            require_digests(folder, new)
            digests = [shard.digest for shard in shards]
            write_json(kept / STAMPS, dict(zip(stamps, digests, strict=True)))


def _stamp(path: Path) -> str:
    with present(path):
        status = path.stat()
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _stamps_of(path: Path) -> dict[str, str]:
    try:
        stamps: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return stamps
