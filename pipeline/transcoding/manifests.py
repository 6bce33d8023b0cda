"""The manifest beside a shard: what became of its clips. A shard is finished once it is written."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files import digest_file, digest_value, read_json, write_json
from pipeline.records import Drop, Signature
from pipeline.shards import Shard


@dataclass(frozen=True, slots=True)
class Manifest:
    """What became of the clips of one shard: of `read`, those not among `drops` were written; no shard if none was."""

    read: int
    drops: tuple[Drop, ...]
    frame_counts: Mapping[int, int]  # frames of a whole video -> kept clips from such videos
    shard: Shard | None
    signatures: tuple[Signature, ...]  # of the rows of the shard


def manifest_path(shard: Path) -> Path:
    """Where the manifest of a shard lies."""
    return shard.with_suffix(".json")


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write it with its own digest, so that an altered one is recognised."""
    values = asdict(manifest)
    values["frame_counts"] = sorted(manifest.frame_counts.items())
    write_json(path, {"manifest": values, "digest": digest_value(values)})


def read_manifest(path: Path) -> Manifest | None:
    """What `write_manifest` wrote; None where there is none, or not a whole one."""
    try:
        tree = read_json(path, "")
        values = tree["manifest"]
        if digest_value(values) != tree["digest"]:
            return None
        return Manifest(
            read=values["read"],
            drops=tuple(Drop(**drop) for drop in values["drops"]),
            frame_counts=Counter(dict(values["frame_counts"])),
            shard=Shard(**values["shard"]) if values["shard"] else None,
            signatures=tuple(Signature(**signature) for signature in values["signatures"]),
        )
    except (UserError, ValueError, KeyError, TypeError):
        return None


def is_finished(shard: Path) -> bool:
    """Whether an earlier run wrote this shard and its manifest, and neither has been altered since."""
    manifest = read_manifest(manifest_path(shard))
    if manifest is None:
        return False
    try:
        return manifest.shard is None or digest_file(shard) == manifest.shard.digest
    except FileNotFoundError:
        return False


def read_manifests(paths: list[Path]) -> Iterator[tuple[Path, Manifest]]:
    """Each shard with its manifest. Raises UserError where one is no longer whole."""
    for path in paths:
        manifest = read_manifest(manifest_path(path))
        if manifest is None:
            raise UserError(f"{path}: damaged while the stage ran; run the same command again")
        yield path, manifest


def list_drops(paths: list[Path]) -> Iterator[Drop]:
    """Of all clips of finished shards, in order."""
    return (drop for _, manifest in read_manifests(paths) for drop in manifest.drops)


def list_signatures(paths: list[Path]) -> list[Signature]:
    """Of all rows of finished shards, in order."""
    return [signature for _, manifest in read_manifests(paths) for signature in manifest.signatures]
