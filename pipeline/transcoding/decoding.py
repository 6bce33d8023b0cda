"""The sandboxed half of making a shard: decodes videos, and reports frames or a reason for each requested part."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from inspect import GEN_CLOSED, getgeneratorstate
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.compute.child import Failure, Work
from pipeline.compute.isolation import memory_limit
from pipeline.compute.messages import MAX_TEXT
from pipeline.errors import UserError
from pipeline.files import digest_file
from pipeline.params import ClipParams, TranscodeParams
from pipeline.records import Clip, Reason
from pipeline.sources import digest_source, index_archive, open_video
from pipeline.sources.common import SourceFault
from pipeline.sources.pictures import Pictures
from pipeline.video import DecodeError
from pipeline.video.decode import DecodedVideo, Fault, Part, decode_parts, decode_video
from pipeline.video.timeline import OutsideVideo, ShortClip

FAILURES: dict[str, tuple[Reason, str]] = {  # kind of failure in a sandbox -> reason, and a hint
    "hung": ("decoder_hung", "; see transcode.limits.seconds"),
    "died": ("decoder_died", ""),
    "invalid_answer": ("invalid_answer", ""),
}

REASONS: dict[type[Fault], Reason] = {ShortClip: "too_short", OutsideVideo: "outside_video", DecodeError: "undecodable"}

KEPT_DIGESTS = 4  # cached, of long videos whose parts are in several shards


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


def prepare_videos(task: ShardTask) -> None:
    """Index the archives that contain the videos of a shard."""
    for clip in task.clips:
        index_archive(task.videos, clip.video)


def decode_clips(task: ShardTask, video: str, failures: Mapping[str, Failure], scratch: str) -> Work:
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
        key = name_part(clip)
        if failure := failures.get(key):
            found[clip.part] = explain_failure(failure)
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


def name_part(clip: Clip) -> str:
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


def explain_failure(failure: Failure) -> Undecoded:
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
