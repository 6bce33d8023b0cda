"""Videos -> shards: one task a shard, a manifest beside each, and finished shards kept until all are there.

`make_shard` runs in a sandbox, in any order and on any machine; `make_shards` makes all of a set. A shard is finished
once its manifest is written, so a run that was stopped resumes by making the missing shards only; `hand_over` then puts
all of them into the output.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from inspect import GEN_CLOSED, getgeneratorstate
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pipeline.compute import map_sandboxed
from pipeline.compute.pool import Progress
from pipeline.compute.sandbox import Failure, memory_limit
from pipeline.duplicates import Leak, count_leaks, find_leaks, sign_clip, write_signature
from pipeline.errors import UserError
from pipeline.files import digest_file, digest_value, read_json, replacing, write_json
from pipeline.params import ClipParams, ComputeParams, TranscodeParams
from pipeline.records import DROPS, SIGNATURES, Clip, Drop, Frames, Reason, Signature, Split
from pipeline.shards import Shard, write_index, write_shard
from pipeline.source_code import digest_code
from pipeline.sources import digest_source, opened, prepare
from pipeline.sources.limits import SourceFault
from pipeline.sources.pictures import Pictures
from pipeline.tables import batches, write_report, write_table
from pipeline.video.decode import DecodedVideo, Fault, Part, decode_parts, decode_video
from pipeline.video.limits import DecodeError
from pipeline.video.timing import OutsideVideo, ShortClip

FAILURES: dict[str, tuple[Reason, str]] = {  # kind of failure in a sandbox -> reason, and a hint
    "hung": ("decoder_hung", "; see transcode.limits.seconds"),
    "died": ("decoder_died", ""),
}

REASONS: dict[type[Fault], Reason] = {ShortClip: "too_short", OutsideVideo: "outside_video", DecodeError: "undecodable"}

KEPT_DIGESTS = 4  # of long videos whose parts are in several shards

MOST_BYTES = 2**31 - 1  # of frames in one shard: programs that count with 32 bits read it whole

NO_SPLITS: Mapping[str, Split] = MappingProxyType({})

PACKAGES = ("av", "imageio-ffmpeg", "numpy", "pyarrow")  # their versions decide bytes, too


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to make: paths and labels travel to the worker, frames never travel back."""

    path: Path
    videos: Path
    clips: tuple[Clip, ...]  # sorted by id
    shape: ClipParams
    options: TranscodeParams

    def __str__(self) -> str:
        return f"{self.path.name} ({self.clips[0].video} to {self.clips[-1].video})"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What became of the clips of one shard: of `read`, those not among `drops` were written; no shard if none was."""

    read: int
    drops: tuple[Drop, ...]
    frame_counts: Mapping[int, int]  # frames of a whole video -> kept clips from such videos
    shard: Shard | None
    signatures: tuple[Signature, ...]  # of the rows of the shard


class Made(NamedTuple):
    """Clips that were read and kept, and how many of each split have a near-duplicate in train."""

    read: int
    kept: int
    leaks: dict[Split, Leak]


def fingerprint(table: Path, shape: ClipParams, options: TranscodeParams) -> str:
    """A name for a run by all that its shards depend on: chosen clips, params, code and the packages that decode."""
    return digest_value(
        {
            "clips": digest_file(table),
            "params": [shape.model_dump(), options.model_dump()],
            "code": digest_code("stages.transcode_clips"),
            "packages": [version(name) for name in PACKAGES],
        }
    )


def require_fitting_shards(clips: int, shape: ClipParams, options: TranscodeParams) -> None:
    """Raises UserError with the `shard_clips` that fits where a shard of so many clips could exceed MOST_BYTES."""
    size = f"{shape.frames}x{shape.height}x{shape.width}x3 bytes"
    each = shape.frames * shape.height * shape.width * 3 * options.windows
    longest = min(clips, options.shard_clips)
    fitting = MOST_BYTES // each
    if longest <= fitting:
        return
    windows = f" in {options.windows} windows each (transcode.windows)" if options.windows > 1 else ""
    told = (
        f"transcode.shard_clips {options.shard_clips}: {longest:,} clips of {size}{windows} are "
        f"{longest * each / 2**30:.1f} GiB of frames in one shard, and 2 GiB is the most"
    )
    way_out = f"set transcode.shard_clips to {fitting} or less" if fitting else "even one is too large; see clip"
    raise UserError(f"{told}; {way_out}")


def require_order(clips: Iterable[Clip], source: Path) -> Iterator[Clip]:
    """The same clips, checked as they pass. Raises UserError where two are out of order: shards are sorted by id."""
    last = ""
    for clip in clips:
        if clip.id <= last:
            raise UserError(f"{source}: clip {clip.id!r} after {last!r}, so not sorted; `dvc repro -f filter`")
        last = clip.id
        yield clip


def make_shards(
    folder: Path,
    videos: Path,
    clips: Iterable[Clip],
    shape: ClipParams,
    options: TranscodeParams,
    compute: ComputeParams,
    *,
    total: int,
    label: str,
    progress: Progress,
) -> list[Path]:
    """Make the shards of `total` clips, which are sorted by id, in a folder; returns their paths, in order."""
    shards = -(-total // options.shard_clips)
    paths = [folder / f"clips-{number:05}.{options.shard_format}" for number in range(shards)]
    parts = zip(paths, batches(clips, options.shard_clips), strict=True)
    tasks = (ShardTask(path, videos.absolute(), part, shape, options) for path, part in parts)
    seconds = options.limits.seconds
    for _ in map_sandboxed(make_shard, tasks, shards, compute, seconds=seconds, label=label, progress=progress):
        pass
    return paths


def make_shard(task: ShardTask, failures: Mapping[str, Failure]) -> Generator[str | None, None, None]:
    """Write the shard and then its manifest, in a sandbox; a shard that is finished already stays as it is.

    Raises UserError where a video is no longer the one that `filter` chose.
    """
    if is_finished(task.path):
        return
    for clip in task.clips:
        prepare(task.videos, clip.video)
    drops: list[Drop] = []
    counts: Counter[int] = Counter()
    windows: dict[str, list[Frames]] = {}
    for clips in _group(task.clips, lambda clip: clip.video).values():
        for clip, decoded in (yield from _decode_clips(task, clips, failures)):
            if isinstance(decoded, _Undecoded):
                drops.append(Drop(clip.id, decoded.reason, decoded.detail))
                continue
            windows[clip.id] = [frames[:, :, ::-1] if clip.mirrored else frames for frames in decoded.clips]
            counts[decoded.count] += 1
    rows = [(clip.id, clip.caption, frames) for clip in task.clips for frames in windows.get(clip.id, [])]
    drops.sort(key=lambda drop: drop.id)
    yield None
    shard = write_shard(task.path, rows) if rows else None
    signatures = tuple(Signature(clip_id, write_signature(sign_clip(frames))) for clip_id, _, frames in rows)
    manifest = Manifest(len(task.clips), tuple(drops), counts, shard, signatures)
    write_manifest(_manifest_path(task.path), manifest)


def hand_over(paths: list[Path], out: Path, shape: ClipParams, splits: Mapping[str, Split] = NO_SPLITS) -> Made:
    """Make `out` whole from finished shards, the index last.

    Near-duplicates are counted between the `splits` of the ids. The shards also stay where they are until the caller
    removes them, so a kill in the middle loses nothing. Raises UserError where no clip is left.
    """
    read = 0
    frames: Counter[int] = Counter()
    shards: list[Shard] = []
    signatures: list[Signature] = []
    for path, manifest in _read_manifests(paths):
        read += manifest.read
        frames.update(manifest.frame_counts)
        if manifest.shard:
            _link(path, out / path.name)
            shards.append(manifest.shard)
            signatures += manifest.signatures
    if not shards:
        raise UserError(_explain_no_clip(paths))
    write_table(out / DROPS, Drop, _list_drops(paths))
    write_table(out / SIGNATURES, Signature, signatures)
    leaks = count_leaks(find_leaks(signatures, splits), signatures, splits)
    write_report(
        out / "report.json",
        read=read,
        kept=frames.total(),
        drops=_list_drops(paths),
        rows=sum(shard.clips for shard in shards),
        frames_per_video={"min": min(frames), "median": _find_low_median(frames), "max": max(frames)},
        near_duplicates_of_train={split: leak._asdict() for split, leak in leaks.items()},
    )
    write_index(out, (shape.frames, shape.height, shape.width), shards)
    return Made(read, frames.total(), leaks)


def _manifest_path(shard: Path) -> Path:
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
    manifest = read_manifest(_manifest_path(shard))
    if manifest is None:
        return False
    try:
        return manifest.shard is None or digest_file(shard) == manifest.shard.digest
    except FileNotFoundError:
        return False


class _Undecoded(NamedTuple):
    """Why a video, or a part of one, is left out."""

    reason: Reason
    detail: str


_Found = list[tuple[Clip, DecodedVideo | _Undecoded]]


def _decode_clips(
    task: ShardTask, clips: list[Clip], failures: Mapping[str, Failure]
) -> Generator[str | None, None, _Found]:
    """What becomes of each clip of one video. Those that show the same of it, as a mirrored twin does, share it.

    Yields the name of what is decoded next: the video, and then each part of it.
    """
    video, digest = clips[0].video, clips[0].digest
    parts = _group(clips, lambda clip: clip.part)
    yield video
    if failure := failures.get(video):
        return [(clip, _explain_failure(failure)) for clip in clips]
    _check_unchanged(task.videos, video, digest)
    found: _Found = []
    with opened(task.videos, video, task.path.parent) as source:
        if whole := parts.pop("", []):
            decoded = _try_decoding(task, partial(decode_video, source, task.shape, task.options, key=video))
            found += [(clip, decoded) for clip in whole]
        if parts:
            found += yield from _decode_parts(task, source, list(parts.values()), failures)
    return found


def _decode_parts(
    task: ShardTask, source: Path | Pictures, parts: Sequence[list[Clip]], failures: Mapping[str, Failure]
) -> Generator[str | None, None, _Found]:
    """The same for clips that show parts of a video, which are decoded together in their order of time."""
    found: _Found = []
    left: list[Part] = []
    of_key: dict[str, list[Clip]] = {}
    for same in sorted(parts, key=lambda same: (same[0].start, same[0].end)):
        key = f"{same[0].video}@{same[0].part}"
        if failure := failures.get(key):
            found += [(clip, _explain_failure(failure)) for clip in same]
        else:
            left.append(Part(same[0].start, same[0].end, key))
            of_key[key] = same
    decoding = decode_parts(source, tuple(left), task.shape, task.options)
    while left:
        yield left[0].key
        decoded = _try_decoding(task, partial(next, decoding))
        found += [(clip, decoded) for clip in of_key[left.pop(0).key]]
        if getgeneratorstate(decoding) == GEN_CLOSED:  # for want of memory; the other parts are tried without it
            decoding = decode_parts(source, tuple(left), task.shape, task.options)
    return found


def _try_decoding(task: ShardTask, decode: Callable[[], DecodedVideo | Fault]) -> DecodedVideo | _Undecoded:
    limits = task.options.limits
    try:
        with memory_limit(limits.memory_bytes):
            decoded = decode()
    except MemoryError:
        message = f"needs more than {limits.memory_bytes} bytes of memory; see transcode.limits.memory_bytes"
        return _Undecoded("decoder_died", message)
    except (ShortClip, OutsideVideo, DecodeError) as fault:
        decoded = fault
    if isinstance(decoded, DecodedVideo):
        return decoded
    return _Undecoded(next(reason for kind, reason in REASONS.items() if isinstance(decoded, kind)), str(decoded))


def _explain_failure(failure: Failure) -> _Undecoded:
    reason, hint = FAILURES[failure.kind]
    return _Undecoded(reason, f"{failure.detail}{hint}")


def _group(clips: Iterable[Clip], key: Callable[[Clip], str]) -> dict[str, list[Clip]]:
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(key(clip), []).append(clip)
    return groups


def _check_unchanged(videos: Path, video: str, digest: str) -> None:
    try:
        same = _digest(videos, video) == digest
    except (FileNotFoundError, NotADirectoryError, SourceFault):
        same = False
    if not same:
        path = videos / video
        raise UserError(f"{path}: no longer the file that `filter` chose; `dvc repro -f filter` reads all videos again")


def _digest(videos: Path, video: str) -> str:
    path = videos / video
    if not path.is_file():
        return digest_source(videos, video)
    status = path.stat()
    return _read_digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(KEPT_DIGESTS)
def _read_digest(path: Path, *_: int) -> str:
    """The digest of a video; its size and time are there to tell another file from it."""
    return digest_file(path)


def _read_manifests(paths: list[Path]) -> Iterator[tuple[Path, Manifest]]:
    for path in paths:
        manifest = read_manifest(_manifest_path(path))
        if manifest is None:
            raise UserError(f"{path}: damaged while the stage ran; run the same command again")
        yield path, manifest


def _list_drops(paths: list[Path]) -> Iterator[Drop]:
    return (drop for _, manifest in _read_manifests(paths) for drop in manifest.drops)


def list_signatures(paths: list[Path]) -> list[Signature]:
    """Of all rows of finished shards, in order."""
    return [signature for _, manifest in _read_manifests(paths) for signature in manifest.signatures]


def _link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system has no links, or is another one."""
    try:
        os.link(source, target)
    except OSError:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def _find_low_median(histogram: Counter[int]) -> int:
    values = sorted(histogram)
    counts = accumulate(histogram[value] for value in values)
    return next(value for value, count in zip(values, counts, strict=True) if 2 * count >= histogram.total())


def _explain_no_clip(paths: list[Path]) -> str:
    reasons = Counter(drop.reason for drop in _list_drops(paths))
    if not reasons:
        return "no clip is chosen; see filter.categories in params.yaml"
    counts = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
    first = next(_list_drops(paths))
    return f"none of the {reasons.total()} chosen clips is left ({counts}), the first because of {first.detail!r}"
