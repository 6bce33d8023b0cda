"""A folder of videos that anyone made, with their captions -> clips as the judges of a run look at them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.compute.backends import map_guarded
from pipeline.corpus.categories import slug_of
from pipeline.corpus.cleaning import clean_text, writable_text
from pipeline.corpus.metadata import read_rows
from pipeline.corpus.objects import bare_objects
from pipeline.corpus.rows import Row
from pipeline.corpus.videos import digest_videos, find_videos, usable_id
from pipeline.errors import UserError
from pipeline.evaluation.hearing import Hearing
from pipeline.params import ClipParams, ColumnParams, Params, worker_count
from pipeline.records import Caption, Clip, Drop, Frames
from pipeline.shards import ShardReader
from pipeline.tables import batches, read_table
from pipeline.text.encode import encode
from pipeline.text.vocabulary import Vocabulary
from pipeline.transcoding.finished import hand_over
from pipeline.transcoding.shard import ShardTask, make_shard

Labelled = tuple[Clip, Caption]


@dataclass(frozen=True)
class Given:
    """Every row of the table is in `labelled`, with its frames, or in `drops`."""

    labelled: list[Labelled]  # sorted by id
    frames: Frames  # uint8 [N,T,H,W,3]
    drops: list[Drop]


def read_given(
    folder: Path, columns: ColumnParams, shape: ClipParams, params: Params, vocabulary: Vocabulary, hearing: Hearing
) -> Given:
    """Label and decode all videos that the metadata in `folder` lists. Raises UserError where none is left."""
    rows = read_rows(folder, columns)
    judged = [_label(row, columns, vocabulary, hearing) for row in rows]
    drops = [one for one in judged if isinstance(one, Drop)]
    labelled = {one[0].id: one for one in judged if not isinstance(one, Drop)}
    found = _find([clip for clip, _ in labelled.values()], folder, worker_count(params.compute))
    drops += [clip for clip in found if isinstance(clip, Drop)]
    clips = sorted((clip for clip in found if isinstance(clip, Clip)), key=lambda clip: clip.id)
    if not clips:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in Counter(drop.reason for drop in drops).items())
        raise UserError(f"{folder}: none of its {len(rows)} clips can be judged ({reasons or 'the table is empty'})")
    ids, frames, more = _decode(clips, folder, shape, params)
    drops = sorted([*drops, *more], key=lambda drop: (drop.id, drop.reason, drop.detail))
    return Given([labelled[name] for name in ids], frames, drops)


def _label(row: Row, columns: ColumnParams, vocabulary: Vocabulary, hearing: Hearing) -> Labelled | Drop:
    """What the clip should show: by the columns where they are named, else as its caption is heard."""
    text = clean_text(row.label)
    if not usable_id(row.id):
        return Drop(ascii(row.id)[:80], "unusable_id", f"row {row.place[1]} of {row.place[0]}")
    try:
        caption = encode(text, vocabulary, len(text)).caption
    except UserError as error:
        return Drop(row.id, "no_words", str(error))
    category, objects = hearing.meaning(caption)
    clip = Clip(
        id=row.id,
        caption=text,
        original=writable_text(row.label),
        category=slug_of(row.template) if columns.category else category,
        template="",
        objects=bare_objects(row.objects) if columns.objects else objects,
        split="test",
        video=row.video,
        digest="",
        mirrored=False,
    )
    return clip, caption


def _find(clips: Sequence[Clip], folder: Path, workers: int) -> list[Clip | Drop]:
    """The clips with the files of their videos, or why there is none."""
    files = find_videos(folder, [(clip.id, clip.video) for clip in clips], workers)
    digests = iter(digest_videos(folder, [file for file in files if isinstance(file, str)], workers))
    return [
        file if isinstance(file, Drop) else replace(clip, video=file, digest=next(digests))
        for clip, file in zip(clips, files, strict=True)
    ]


def _decode(
    clips: Sequence[Clip], folder: Path, shape: ClipParams, params: Params
) -> tuple[list[str], Frames, list[Drop]]:
    """Ids and frames of the videos that can be decoded, and why the others cannot.

    As `transcode` does it, in workers of this machine that a hostile video cannot harm. A generated video is a clip as
    a whole, whatever window of real videos the params ask for.
    """
    whole = shape.model_copy(update={"seconds": None, "stride": None})
    options = params.transcode.model_copy(update={"windows": 1, "shard_format": "parquet"})
    compute = params.compute.model_copy(update={"backend": "processes"})
    with TemporaryDirectory() as temporary:
        out = Path(temporary) / "clips"
        out.mkdir()
        tasks = [
            ShardTask(Path(temporary) / f"{number:05}.parquet", folder.absolute(), part, whole, options)
            for number, part in enumerate(batches(clips, options.shard_clips))
        ]
        seconds = options.limits.seconds
        for _ in map_guarded(make_shard, tasks, len(tasks), compute, seconds=seconds, label="videos, shards"):
            pass
        hand_over([task.path for task in tasks], out, whole)
        shards = ShardReader(out)
        return shards.ids, shards.frames(range(len(shards))), read_table(out / "dropped.parquet", Drop)
