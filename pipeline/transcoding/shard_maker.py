"""Makes one shard: a sandboxed worker decodes; the parent, which does not trust it, checks its answers and writes.

The worker reports the frames of each requested part of a video, or a reason. The manifest next to a shard lists which
clips were written and dropped. A shard with a manifest is finished.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from inspect import GEN_CLOSED, getgeneratorstate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.compute.child import MAX_TEXT, BadAnswer, Failure, Work, check_text
from pipeline.compute.isolation import Permissions, memory_limit
from pipeline.duplicates import compute_signature, encode_signature
from pipeline.errors import UserError
from pipeline.files import digest_file, digest_value, read_json, write_json
from pipeline.params import ClipParams, TranscodeParams
from pipeline.records import Clip, Drop, Frames, Reason, Signature
from pipeline.shards import Shard, write_shard
from pipeline.sources import digest_source, find_roots, index_archive, needs_copies, open_video
from pipeline.sources.common import SourceFault
from pipeline.sources.pictures import Pictures
from pipeline.video import DecodeError
from pipeline.video.decode import DecodedVideo, Fault, Part, decode_parts, decode_video, find_programs
from pipeline.video.timeline import OutsideVideo, ShortClip

FAILURES: dict[str, tuple[Reason, str]] = {  # kind of failure in a sandbox -> reason, and a hint
    "hung": ("decoder_hung", "; see transcode.limits.seconds"),
    "died": ("decoder_died", ""),
    "invalid_answer": ("invalid_answer", ""),
}

REASONS: dict[type[Fault], Reason] = {ShortClip: "too_short", OutsideVideo: "outside_video", DecodeError: "undecodable"}

KEPT_DIGESTS = 4  # cached, of long videos whose parts are in several shards

ALLOWED_REASONS: dict[str, Reason] = {
    reason: reason for reason in (*REASONS.values(), *(reason for reason, _ in FAILURES.values()))
}


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard to make: only paths and labels are sent to a worker, and no frames are sent back from it."""

    path: Path
    videos: Path
    clips: tuple[Clip, ...]  # sorted by id
    shape: ClipParams
    options: TranscodeParams

    def __str__(self) -> str:
        return f"{self.path.name} ({self.clips[0].video} to {self.clips[-1].video})"


class Undecoded(NamedTuple):
    """Why a video, or a part of one, is dropped."""

    reason: Reason
    detail: str


_Found = dict[str, DecodedVideo | Undecoded]  # by `Clip.part`


def _prepare_videos(task: ShardTask) -> None:
    """Index the archives that contain the videos of a shard."""
    for clip in task.clips:
        index_archive(task.videos, clip.video)


def _decode_clips(task: ShardTask, video: str, failures: Mapping[str, Failure], scratch: str) -> Work:
    """Decode the parts of one video that a shard needs.

    Yields the name of each step before it starts: the video, then each part of it. Raises UserError if the video has
    changed since `filter`.
    """
    clips = [clip for clip in task.clips if clip.video == video]
    parts = {clip.part: clip for clip in clips}
    yield video
    _check_unchanged(task.videos, video, clips[0].digest)
    found: _Found = {}
    with open_video(task.videos, video, Path(scratch)) as source:
        if parts.pop("", None):
            found[""] = _try_decoding(task, partial(decode_video, source, task.shape, task.options, key=video))
        if parts:
            found |= yield from _decode_parts(task, source, list(parts.values()), failures)
    frames = [clip for decoded in found.values() if isinstance(decoded, DecodedVideo) for clip in decoded.clips]
    return [_describe(part, decoded) for part, decoded in found.items()], [
        np.ascontiguousarray(clip).data for clip in frames
    ]


def _decode_parts(
    task: ShardTask, source: Path | Pictures, parts: Sequence[Clip], failures: Mapping[str, Failure]
) -> Generator[str, None, _Found]:
    """Decode parts of a video together, in temporal order."""
    found: _Found = {}
    left: list[Part] = []
    part_of: dict[str, str] = {}
    for clip in sorted(parts, key=lambda clip: (clip.start, clip.end)):
        key = _name_part(clip)
        if failure := failures.get(key):
            found[clip.part] = _explain_failure(failure)
        else:
            left.append(Part(clip.start, clip.end, key))
            part_of[key] = clip.part
    decoding = decode_parts(source, tuple(left), task.shape, task.options)
    while left:
        yield left[0].key
        decoded = _try_decoding(task, partial(next, decoding))
        found[part_of[left.pop(0).key]] = decoded
        if getgeneratorstate(decoding) == GEN_CLOSED:  # out of memory: continue with the remaining parts
            decoding = decode_parts(source, tuple(left), task.shape, task.options)
    return found


def _name_part(clip: Clip) -> str:
    """The name of the step that decodes a part of a video, or the whole video."""
    return f"{clip.video}@{clip.part}" if clip.part else clip.video


def _describe(part: str, decoded: DecodedVideo | Undecoded) -> dict[str, object]:
    """One outcome as sent to the parent."""
    if isinstance(decoded, DecodedVideo):
        return {"part": part, "frames": decoded.count, "windows": len(decoded.clips)}
    return {"part": part, "reason": decoded.reason, "detail": decoded.detail[:MAX_TEXT]}


def _try_decoding(task: ShardTask, decode: Callable[[], DecodedVideo | Fault]) -> DecodedVideo | Undecoded:
    limits = task.options.limits
    try:
        with memory_limit(limits.memory_bytes):
            decoded = decode()
    except MemoryError:
        message = f"needs more than {limits.memory_bytes} bytes of memory; see transcode.limits.memory_bytes"
        return Undecoded("decoder_died", message)
    except (ShortClip, OutsideVideo, DecodeError) as fault:
        decoded = fault
    if isinstance(decoded, DecodedVideo):
        return decoded
    return Undecoded(next(reason for kind, reason in REASONS.items() if isinstance(decoded, kind)), str(decoded))


def _explain_failure(failure: Failure) -> Undecoded:
    """Why clips are dropped if the worker hung, died or was compromised while decoding them."""
    reason, hint = FAILURES[failure.kind]
    return Undecoded(reason, f"{failure.detail}{hint}")


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
    """The digest of a video; size and modification time are part of the cache key."""
    return digest_file(path)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The outcome of one shard: of `read` clips, all but `drops` were written; `shard` is None if none was."""

    read: int
    drops: tuple[Drop, ...]
    frame_counts: Mapping[int, int]  # frames of a video or part -> number of kept clips from such
    shard: Shard | None
    signatures: tuple[Signature, ...]  # of the rows of the shard


def _locate_manifest(shard: Path) -> Path:
    """The path of the manifest of a shard."""
    return shard.with_suffix(".json")


def _write_manifest(path: Path, manifest: Manifest) -> None:
    """Write it with its digest, so that alterations are detected."""
    values = asdict(manifest)
    values["frame_counts"] = sorted(manifest.frame_counts.items())
    write_json(path, {"manifest": values, "digest": digest_value(values)})


def _read_manifest(path: Path) -> Manifest | None:
    """Read a manifest; None if it is missing, incomplete or altered."""
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


def _is_finished(shard: Path) -> bool:
    """Whether this shard and its manifest exist and are unaltered."""
    manifest = _read_manifest(_locate_manifest(shard))
    if manifest is None:
        return False
    try:
        return manifest.shard is None or digest_file(shard) == manifest.shard.digest
    except FileNotFoundError:
        return False


def read_manifests(paths: list[Path]) -> Iterator[tuple[Path, Manifest]]:
    """Each shard with its manifest. Raises UserError if a manifest is damaged."""
    for path in paths:
        manifest = _read_manifest(_locate_manifest(path))
        if manifest is None:
            raise UserError(f"{path}: damaged while the stage ran; run the same command again")
        yield path, manifest


def list_drops(paths: list[Path]) -> Iterator[Drop]:
    """The drops of all finished shards, in order."""
    return (drop for _, manifest in read_manifests(paths) for drop in manifest.drops)


def list_signatures(paths: list[Path]) -> list[Signature]:
    """The signatures of all rows of finished shards, in order."""
    return [signature for _, manifest in read_manifests(paths) for signature in manifest.signatures]


class Decoded(NamedTuple):
    """The checked answer of a worker: the windows of a part of a video, and its number of frames."""

    windows: list[Frames]
    frames: int


class _Announced(NamedTuple):
    """The numbers of windows and frames that a worker announces."""

    windows: int
    frames: int


Outcomes = dict[str, Decoded | Undecoded]  # by `Clip.part`


class ShardMaker:
    """Makes the shard of a task and its manifest; a finished shard is kept."""

    def list_steps(self, task: ShardTask) -> Mapping[str, Sequence[str]]:
        """The videos, each with the steps that decode it: itself and its requested parts."""
        if _is_finished(task.path):
            return {}
        steps: dict[str, dict[str, None]] = {}
        for clip in task.clips:
            steps.setdefault(clip.video, {clip.video: None})[_name_part(clip)] = None
        return {video: tuple(names) for video, names in steps.items()}

    def find_permissions(self, task: ShardTask) -> Permissions:
        """The videos folder, the targets of its links, and the ffmpeg program if it is needed."""
        videos = list(dict.fromkeys(clip.video for clip in task.clips))
        copies = task.options.decoder == "ffmpeg" or any(needs_copies(task.videos, video) for video in videos)
        return Permissions(
            frozenset(root for video in videos for root in find_roots(task.videos, video)),
            frozenset(find_programs(task.options, videos)),
            task.options.limits.memory_bytes,
            str(task.path.parent) if copies else "",
        )

    def count_bytes(self, task: ShardTask, item: str) -> int:
        """The bytes of all windows of all parts of a video."""
        return len(_list_parts(task, item)) * task.options.windows * count_clip_bytes(task.shape)

    def prepare(self, task: ShardTask) -> None:
        """In the worker: index archives."""
        _prepare_videos(task)

    def work(self, task: ShardTask, item: str, failures: Mapping[str, Failure], scratch: str) -> Work:
        """In the worker: decode a video."""
        return _decode_clips(task, item, failures, scratch)

    def check(self, task: ShardTask, item: str, value: Any, content: bytearray) -> Outcomes:
        """One outcome for each requested part, with exactly the announced bytes of frames. Raises BadAnswer."""
        parts = _list_parts(task, item)
        frames = np.frombuffer(content, np.uint8)
        taken: Outcomes = {}
        at = 0
        for outcome in value if isinstance(value, list) else [None]:
            part, checked = _check_outcome(task, outcome)
            if part not in parts or part in taken:
                raise BadAnswer(f"a part that was not requested: {part[:80]!a}")
            if isinstance(checked, _Announced):
                end = at + checked.windows * count_clip_bytes(task.shape)
                if end > len(frames):
                    raise BadAnswer(f"{len(frames):,} bytes of frames instead of at least {end:,}")
                shape = (checked.windows, task.shape.frames, task.shape.height, task.shape.width, 3)
                taken[part] = Decoded(list(frames[at:end].reshape(shape)), checked.frames)
                at = end
            else:
                taken[part] = checked
        if taken.keys() != parts or at != len(frames):
            raise BadAnswer(
                f"{len(taken)} of {len(parts)} parts, with {len(frames):,} bytes of frames in place of {at:,}"
            )
        return taken

    def finish(self, task: ShardTask, found: Mapping[str, Outcomes], failures: Mapping[str, Failure]) -> None:
        """Write the shard and then its manifest."""
        if not found and not failures:  # it was already finished
            return
        drops: list[Drop] = []
        counts: Counter[int] = Counter()
        rows: list[tuple[str, str, Frames]] = []
        for clip in task.clips:
            outcome = found[clip.video][clip.part] if clip.video in found else _explain_failure(failures[clip.video])
            if isinstance(outcome, Undecoded):
                drops.append(Drop(clip.id, outcome.reason, outcome.detail))
                continue
            rows += [(clip.id, clip.caption, _turn(frames, clip)) for frames in outcome.windows]
            counts[outcome.frames] += 1
        shard = write_shard(task.path, rows) if rows else None
        signatures = tuple(
            Signature(clip_id, encode_signature(compute_signature(frames))) for clip_id, _, frames in rows
        )
        _write_manifest(_locate_manifest(task.path), Manifest(len(task.clips), tuple(drops), counts, shard, signatures))


def count_clip_bytes(shape: ClipParams) -> int:
    """The number of bytes of one window."""
    return shape.frames * shape.height * shape.width * 3


def _list_parts(task: ShardTask, video: str) -> set[str]:
    return {clip.part for clip in task.clips if clip.video == video}


def _check_outcome(task: ShardTask, outcome: Any) -> tuple[str, _Announced | Undecoded]:
    """Check an outcome by its keys, and the types and bounds of its values. Raises BadAnswer."""
    match outcome:
        case {"part": str(part), "frames": int(frames), "windows": int(windows)} if len(outcome) == 3:
            if 1 <= windows <= task.options.windows and 1 <= frames <= task.options.limits.video_frames:
                return part, _Announced(windows, frames)
        case {"part": str(part), "reason": str(reason), "detail": detail} if len(outcome) == 3:
            if reason in ALLOWED_REASONS:
                return part, Undecoded(ALLOWED_REASONS[reason], check_text(detail))
    raise BadAnswer(f"unknown outcome {str(outcome)[:80]!a}")


def _turn(frames: Frames, clip: Clip) -> Frames:
    return frames[:, :, ::-1] if clip.mirrored else frames
