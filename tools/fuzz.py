"""Fuzzes everything that reads untrusted files: `python -m tools.fuzz --seconds 3600`, or `make fuzz`.

Labels, word vectors, archives and shards are read in this process: each must be read, or refused with one message.
Videos go through the sandboxed workers of `transcode`: each clip must be kept, or dropped with a reason. A file with a
new outcome is saved in `build/fuzz/corpus`, and mutated further in later runs; one that breaks these rules is saved in
`build/fuzz/faults`. Neither folder belongs in the repository. Equal seeds, rounds and folders give equal files. If the
kernel supports it, the workers are watched: a request for a path that unmodified videos do not cause is a fault, too,
although the sandbox denies it.
"""

import hashlib
import io
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Annotated, Literal
from unittest.mock import patch

import typer

from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError, explain
from pipeline.files import digest_file, write_json
from pipeline.params import ClipParams, Params, load_params
from pipeline.records import Clip, Drop, no_progress
from pipeline.shards import INDEX, Shard, ShardReader, write_index
from pipeline.tables import CountMismatch
from pipeline.text.vector_files import read_vectors
from pipeline.transcoding import make_shards
from pipeline.transcoding.shard_maker import ShardMaker, read_manifests
from tools.mutations import mutate
from tools.seeds import VIDEOS, draw_seeds
from tools.watch import Watcher

Decoder = Literal["in_process", "ffmpeg"]
SHAPE = ClipParams(frames=8, height=16, width=16, spread="time", seconds=None, stride=None)
BATCH = 1024  # videos per worker, unless it has to be replaced
SHARD = 64  # videos per task
LARGEST = 16_000  # bytes of a given video: small ones allow more attempts
LIMITS = {
    "seconds": 10.0,
    "memory_bytes": 500_000_000,
    "frame_pixels": 2**22,
    "video_pixels": 2**30,
    "video_frames": 500,
}

EXPLAINED = {  # harmless requests; the sandbox denies them, and decoding continues
    r"openat /proc/sys/vm/overcommit_memory": "the C library, before a thread gives memory back",
    r"openat .*/gconv/[^/]+\.so": "the C library, for a name in MPEG-TS whose encoding libavformat has it convert",
}


def explain_request(request: str) -> str:
    """Why a denied request is harmless; empty if it is unexplained."""
    if request in {f"openat {hide_numbers(os.path.abspath(folder))}" for folder in sys.path}:  # noqa: PTH100  "" is here
        return "Python, which lists a folder again that has changed when it looks for a module"
    for folder in filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")):  # set by OpenCV on import
        if re.fullmatch(rf"openat {re.escape(hide_numbers(os.path.normpath(folder)))}/.*\.so[.N]*", request):
            return "the loader of programs, by LD_LIBRARY_PATH"
    return next((why for pattern, why in EXPLAINED.items() if re.fullmatch(pattern, request)), "")


def hide_numbers(request: str) -> str:
    """A request without numbers, so that those of different files are equal."""
    return re.sub(r"\d+", "N", request)


class Fuzzer:
    """Mutates files, reads them, and counts the outcomes by kind."""

    def __init__(
        self, out: Path, seed: int, clips: Path | None = None, decoder: Decoder = "in_process", *, watched: bool = True
    ) -> None:
        self.out = out
        self.rng = random.Random(seed)
        self.outcomes: Counter[str] = Counter()
        self.params = _choose_params(decoder)
        self.watcher = Watcher(watched=watched)
        self.asked: Counter[str] = Counter()  # denied requests of the workers
        self.normal: set[str] = set()  # denied requests caused by unmodified videos
        self.seeds = draw_seeds(out / "seeds")
        if clips:
            self.seeds["videos"] += _find_small(clips)
        for kept in sorted((out / "corpus").glob("*/*")):
            self.seeds[kept.parent.name].append(kept)

    def read_files(self) -> None:
        """Read one mutated file of each kind that is read in this process."""
        for kind, read in READERS.items():
            seed = self.rng.choice(self.seeds[kind])
            content = mutate(seed.read_bytes(), self.rng)
            with tempfile.TemporaryDirectory() as name:
                path = Path(name) / f"changed{''.join(seed.suffixes)}"
                path.write_bytes(content)
                outcome = self._try(read, path)
            self._count(f"{kind}: {outcome}", kind, seed, content)

    def _try(self, read: Callable[[Path, Params], object], path: Path) -> str:
        """The outcome of a file. Any error but UserError is a fault."""
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                read(path, self.params)
        except UserError as error:
            message, _ = explain(error) or ("", 1)
            if not message.replace("\n", "").isprintable():  # a terminal would obey it
                return f"FAULT control characters in {_generalise(ascii(message), path)}"
            return f"refused: {_generalise(message, path)}"
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return f"FAULT {type(error).__name__} in {Path(place.filename).name} {place.name}"
        return "read"

    def decode_videos(self, count: int = BATCH) -> None:
        """Decode mutated videos by the workers of `transcode`; each is kept, or dropped with a reason."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            made = {}
            for number in range(count):
                seed = self.rng.choice(self.seeds["videos"])
                path = folder / f"{number:04}{seed.suffix}"
                path.write_bytes(mutate(seed.read_bytes(), self.rng) or b"\0")
                made[path.stem] = seed, path
            videos = [path for _, path in made.values()]
            told = self.decode(folder, videos)
            if requests := self._collect(folder):
                inside, asked = self.watcher.inside, self.asked.copy()
                for request in requests:  # may not be reproducible, as those of threads depend on earlier videos
                    self.outcomes[f"watched: FAULT asks for {request}"] += 1
                for path, request in self._find_askers(folder, videos, requests):
                    told[path.stem] = f"FAULT asks for {request}"
                self.watcher.inside, self.asked = inside, asked
            for stem, (seed, path) in made.items():
                self._count(f"videos: {told.get(stem, 'kept')}", "videos", seed, path.read_bytes())

    def watch_seeds(self) -> None:
        """Decode unmodified videos, and record the requests of workers as normal."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            videos = [
                Path(shutil.copy(seed, folder / f"{number:04}{seed.suffix}"))
                for number, seed in enumerate(self.seeds["videos"])
                if self.out / "corpus" not in seed.parents
            ]
            self.decode(folder, videos)
            self.normal = set(self._collect(folder))

    def _collect(self, folder: Path) -> list[str]:
        """The denied requests since the last call, without normal and explained ones."""
        found: Counter[str] = Counter()
        for request, count in self.watcher.forget().items():
            found[hide_numbers(request.replace(str(folder), "FOLDER"))] += count
        self.asked += found
        return [request for request in found if request not in self.normal and not explain_request(request)]

    def _find_askers(self, folder: Path, videos: Sequence[Path], requests: list[str]) -> Iterator[tuple[Path, str]]:
        """Which of the videos cause abnormal requests, by bisection."""
        if len(videos) == 1:
            yield from ((videos[0], request) for request in requests)
        elif requests:
            for half in (videos[: len(videos) // 2], videos[len(videos) // 2 :]):
                self.decode(folder, half)
                yield from self._find_askers(folder, half, self._collect(folder))

    def decode(self, folder: Path, videos: Sequence[Path]) -> dict[str, str]:
        """The outcome of each video that was not kept; one that stops the run is found by bisection."""
        try:
            with patch("pipeline.transcoding.ShardMaker", lambda: self.watcher.wrap(ShardMaker())):
                drops = _transcode(folder, videos, self.params)
        except Exception as error:
            if len(videos) == 1:
                return {videos[0].stem: f"FAULT {type(error).__name__}: {_generalise(str(error), videos[0])}"}
            middle = len(videos) // 2
            return self.decode(folder, videos[:middle]) | self.decode(folder, videos[middle:])
        finally:
            self.watcher.release()
        paths = {path.stem: path for path in videos}
        return {drop.id: f"{drop.reason}: {_generalise(drop.detail, paths[drop.id])}" for drop in drops}

    def _count(self, outcome: str, kind: str, seed: Path, content: bytes) -> None:
        self.outcomes[outcome] += 1
        if self.outcomes[outcome] == 1:
            folder = self.out / "faults" if "FAULT" in outcome else self.out / "corpus" / kind
            folder.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(outcome.encode()).hexdigest()[:16]
            (folder / f"{name}{''.join(seed.suffixes)}").write_bytes(content)


def _find_small(folder: Path) -> list[Path]:
    endings = {Path(name).suffix for name in VIDEOS}
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in endings]
    return [path for path in found if path.is_file() and 0 < path.stat().st_size <= LARGEST]


def _choose_params(decoder: Decoder) -> Params:
    params = load_params()
    dataset = params.dataset.model_copy(update={"format": "auto"})
    limits = params.transcode.limits.model_copy(update=LIMITS)
    transcode = params.transcode.model_copy(
        update={"limits": limits, "windows": 1, "decoder": decoder, "shard_clips": SHARD}
    )
    compute = params.compute.model_copy(update={"backend": "processes", "workers": 1})
    return params.model_copy(update={"dataset": dataset, "transcode": transcode, "compute": compute})


def _transcode(folder: Path, videos: Sequence[Path], params: Params) -> tuple[Drop, ...]:
    clips = [
        Clip(path.stem, "a", "a", "a", "a", (), "train", path.name, digest_file(path), False) for path in sorted(videos)
    ]
    with tempfile.TemporaryDirectory(dir=folder) as out:
        shards = make_shards(
            Path(out),
            folder,
            clips,
            SHAPE,
            params.transcode,
            params.compute,
            total=len(clips),
            label="fuzz",
            progress=no_progress,
        )
        manifests = [manifest for _, manifest in read_manifests(shards)]
    kept = sum(manifest.shard.clips for manifest in manifests if manifest.shard)
    drops = tuple(drop for manifest in manifests for drop in manifest.drops)
    if sum(manifest.read for manifest in manifests) != len(clips) or kept + len(drops) != len(clips):
        raise CountMismatch(f"{len(clips)} clips were handed over, {kept} kept and {len(drops)} dropped")
    return drops


def _read_labels(path: Path, params: Params) -> None:
    dataset = params.dataset.model_copy(update={"labels": str(path), "videos": str(path.parent)})
    read_rows(path, dataset)


def _read_vectors(path: Path, _: Params) -> None:
    read_vectors(path, {"a"}, 10)


def _read_shards(path: Path, _: Params) -> None:
    write_index(path.parent, (8, 16, 16), [Shard(path.name, 3, digest_file(path))])
    reader = ShardReader(path.parent)
    reader.frames(range(len(reader)))
    (path.parent / INDEX).write_bytes(mutate((path.parent / INDEX).read_bytes(), random.Random(path.stat().st_size)))
    reader = ShardReader(path.parent)
    reader.frames(range(len(reader)))


def _generalise(message: str, path: Path) -> str:
    """A message without names and numbers, so that equal faults of different files are one kind."""
    message = message.replace(str(path.parent), "FOLDER").replace(path.name, "FILE")
    return re.sub(r"'[^']*'|\"[^\"]*\"", "...", re.sub(r"\d[\d.,]*", "N", message))[:100]


READERS: dict[str, Callable[[Path, Params], object]] = {
    "labels": _read_labels,
    "vectors": _read_vectors,
    "shards": _read_shards,
}


def _tell_requests(fuzzer: Fuzzer) -> None:
    if fuzzer.watcher.obstacle:
        print(f"the workers were not watched: {fuzzer.watcher.obstacle}")
        return
    print(f"{fuzzer.watcher.inside:8,} requests of workers for permitted files")
    for request, count in sorted(fuzzer.asked.items()):
        why = "as for unmodified videos" if request in fuzzer.normal else explain_request(request)
        print(f"{count:8,} for other files: {request} ({why or 'FAULT'})")
    if not fuzzer.asked:
        print(f"{0:8} for other files")


def main(
    seconds: Annotated[float, typer.Option(help="wall time after which no new round begins")] = 60.0,
    rounds: Annotated[
        int, typer.Option(help=f"maximum number of rounds, each of files of all types and {BATCH} videos")
    ] = 10**9,
    files: Annotated[int, typer.Option(help="files of each type other than videos per round")] = 200,
    seed: Annotated[int, typer.Option(help="seed of all random choices")] = 0,
    videos: Annotated[bool, typer.Option(help="also decode videos")] = True,
    clips: Annotated[Path | None, typer.Option(help="folder of additional small videos to mutate")] = None,
    decoder: Annotated[Decoder, typer.Option(help="decoder of the videos, as in transcode.decoder")] = "in_process",
    watch: Annotated[bool, typer.Option(help="record the files that workers request")] = True,
    out: Annotated[Path, typer.Option(help="folder for seeds, corpus and faults")] = Path("build/fuzz"),
) -> None:
    """Mutate files and read them; exit code 1 if one is neither read nor refused by a message."""
    fuzzer = Fuzzer(out, seed, clips, decoder, watched=watch)
    if videos:
        fuzzer.watch_seeds()
    end = time.monotonic() + seconds
    while rounds > 0 and time.monotonic() < end:
        rounds -= 1
        for _ in range(files):
            fuzzer.read_files()
        if videos:
            fuzzer.decode_videos()
        write_json(out / "outcomes.json", dict(sorted(fuzzer.outcomes.items())))
    for outcome, count in sorted(fuzzer.outcomes.items()):
        print(f"{count:8,} {outcome}")
    if videos:
        _tell_requests(fuzzer)
    if any("FAULT" in outcome for outcome in fuzzer.outcomes):
        sys.exit(f"some files were neither read nor refused; see {out / 'faults'}")


if __name__ == "__main__":
    typer.run(main)
