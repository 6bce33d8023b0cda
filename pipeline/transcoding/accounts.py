"""What became of the clips of one shard: a small JSON file beside it, written last, that means "finished"."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.files import digest_file, digest_value, write_json
from pipeline.records import Drop
from pipeline.shards import Shard


@dataclass(frozen=True, slots=True)
class Account:
    """Of `read` clips, those not among `drops` were written; no shard where none was left."""

    read: int
    drops: tuple[Drop, ...]
    frame_counts: Mapping[int, int]  # frames of a whole video -> kept clips from such videos
    shard: Shard | None


def account_path(shard: Path) -> Path:
    return shard.with_suffix(".json")


def write_account(path: Path, account: Account) -> None:
    """Write it with a digest of itself, so that an altered one is known."""
    values = asdict(account)
    values["frame_counts"] = sorted(account.frame_counts.items())
    write_json(path, {"account": values, "digest": digest_value(values)})


def read_account(path: Path) -> Account | None:
    """What `write_account` wrote; None where there is none, or not a whole one."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        values = tree["account"]
        if digest_value(values) != tree["digest"]:
            return None
        return Account(
            read=values["read"],
            drops=tuple(Drop(**drop) for drop in values["drops"]),
            frame_counts=Counter(dict(values["frame_counts"])),
            shard=Shard(**values["shard"]) if values["shard"] else None,
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def is_finished(shard: Path) -> bool:
    """Whether an earlier run wrote this shard and its account, and neither was altered since."""
    account = read_account(account_path(shard))
    if account is None:
        return False
    try:
        return account.shard is None or digest_file(shard) == account.shard.digest
    except FileNotFoundError:
        return False
