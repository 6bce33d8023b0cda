"""The sections of the data stages: reading, selecting, decoding and tokenizing clips."""

import itertools
import re
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from pipeline.params.base import Positive, QuotedPath, Section, Share, Text, require_one_of

# Built-in readers of labels.
GENERAL_FORMATS = (
    *("something", "table", "folders", "metadata", "sidecar", "subtitles", "lists", "json", "ucf101", "hmdb51"),
    *("label_studio", "cvat", "via", "elan", "boris", "lerobot", "vidor", "webdataset", "parquet", "auto"),
)
SETS = (  # published datasets with known columns
    "tacos",  # before activitynet, whose columns it has
    *("activitynet", "ava", "babel", "bdd_x", "burst", "charades", "charades_sta", "conversations", "cross_task"),
    *("didemo", "diving48", "ego4d", "epic_kitchens", "finegym", "hacs", "kinetics", "koala36m", "lsmdc", "miradata"),
    *("moments", "mpii_md", "msr_vtt", "msvd", "openvid", "panda70m", "qvhighlights", "ref_davis", "ref_vos"),
    *("sharegpt4video", "tao", "tgif", "thumos14", "vatex", "vggsound", "vidstg", "vript", "webvid", "youtube_vis"),
    *("autsl", "how2sign", "ms_asl", "openasl", "phoenix14t", "wlasl"),
)
FORMAT_NAMES = (*GENERAL_FORMATS, *SETS)
Loading = Literal["auto", "resident", "streamed"]
PICTURE_PATTERN = re.compile(r"[^*/\0]*\*[^*/\0]*\.(?i:jpe?g|png|webp|bmp|tiff?)")


class ComputeParams(Section):
    backend: Literal["processes", "ray"]
    workers: Literal["auto"] | PositiveInt
    sandbox: Literal["require", "auto", "off"]
    loading: Loading


class DemoParams(Section):
    clips: Annotated[int, Field(gt=0, le=200_000)]  # ids are drawn from 1 to 220,847
    validation_share: Share


Column = Text | PositiveInt  # a name, or an index from 1


class ColumnParams(Section):
    path: Column | None
    caption: Column
    category: Column | None
    objects: Column | None
    split: Column | None
    id: Column | None
    start: Column | None
    end: Column | None
    segment: Column | None
    group: Column | None
    direction: Column | None

    @model_validator(mode="after")
    def _segments_are_said_once(self) -> Self:
        if self.segment is not None and (self.start is not None or self.end is not None):
            raise ValueError("columns.segment holds start and end; set columns.start and columns.end to null")
        return self


Direction = Literal["left", "right", "up", "down", "up left", "up right", "down left", "down right", "still"]


class PhraseParams(Section):
    """An entry of a list. Optional keys may have defaults here, since DVC compares the list as a whole."""

    words: Text
    moves: Direction | None = None
    opposite: Text | None = None
    mirror: Text | None = None


class SegmentParams(Section):
    unit: Literal["seconds", "milliseconds", "frames"]
    rate: Positive | None
    first: Annotated[int, Field(ge=0)]
    last: Literal["excluded", "included"]
    around: Positive | None

    @model_validator(mode="after")
    def _frames_have_a_rate(self) -> Self:
        if self.unit == "frames" and self.rate is None:
            raise ValueError("unit frames needs the rate of the frames that the labels count, per second")
        return self


FOUND_IN_PATHS = ("caption", "category", "group", "split")  # groups of dataset.path_pattern


class DatasetParams(Section):
    format: Annotated[str, require_one_of(*FORMAT_NAMES)]
    labels: QuotedPath
    videos: QuotedPath
    columns: ColumnParams
    segments: SegmentParams
    path_pattern: Text | None
    directions: list[PhraseParams]
    language: Literal["auto", "en", "other"]
    pictures: Text | None
    delimiter: Literal["comma", "tab", "semicolon", "pipe", "blank"] | None
    classes: Text | None
    official_list: Literal[1, 2, 3]
    text_files: Literal["whole", "lines"]

    @model_validator(mode="after")
    def _every_row_has_a_video(self) -> Self:
        if self.format == "table" and self.columns.path is None and self.columns.id is None:
            raise ValueError("columns.path and columns.id are both null, so that no row of the table has a video")
        if self.pictures is not None and not PICTURE_PATTERN.fullmatch(self.pictures):
            raise ValueError(
                f"pictures {self.pictures!r} is not a file name with a star for the number, such as img_*.jpg"
            )
        if self.segments.around is not None and (self.columns.end is not None or self.columns.segment is not None):
            raise ValueError("segments.around is about points in time: set columns.end and columns.segment to null")
        _check_pattern(self.path_pattern)
        if self.format == "folders" and PurePath(self.labels) != PurePath(self.videos):
            raise ValueError(f"with format folders, labels {self.labels!r} and videos {self.videos!r} are one folder")
        return self


def _check_pattern(pattern: str | None) -> None:
    try:
        expression = re.compile(pattern or "()")
    except re.error as error:
        raise ValueError(f"path_pattern {pattern!r} is not a regular expression: {error}") from None
    listed = ", ".join(f"(?P<{name}>...)" for name in FOUND_IN_PATHS)
    if unknown := [name for name in expression.groupindex if name not in FOUND_IN_PATHS]:
        raise ValueError(f"path_pattern {pattern!r} has brackets called {unknown[0]}; known are {listed}")
    if not expression.groupindex and expression.groups != 1:
        count = f"has {expression.groups} brackets without names"
        raise ValueError(f"path_pattern {pattern!r} {count}; it needs one, which is the group, or names: {listed}")


class ShareParams(Section):
    train: Share
    judge: Share
    val: Share
    test: Share

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.judge + self.val + self.test
        if abs(total - 1) > 1e-6 or self.train == 0:
            raise ValueError(f"the shares must sum to 1 with train above 0, not to {total:g}")
        return self


class FilterParams(Section):
    categories: Annotated[list[Text], Field(min_length=1)]
    objects: Literal["toy", "simple", "casual"]
    include_objects: list[Text]
    exclude_objects: list[Text]
    min_object_clips: PositiveInt
    max_object_clips: PositiveInt | None
    max_clips: PositiveInt | None
    duplicates: Literal["keep", "group", "drop"]
    mirror: Literal["none", "swap"]
    shares: ShareParams
    test_pairs: Share | list[Text]
    test_words: Share | list[Text]
    test_words_by: Literal["hash", "near", "far"]
    word_vectors: QuotedPath

    @field_validator("word_vectors")
    @classmethod
    def _vectors_are_no_code(cls, path: str) -> str:
        if path == "pipeline/corpus/likeness.py":  # the placeholder of older versions
            raise ValueError(f"{path} is no longer there; without word vectors it is now data/no-vectors.txt")
        return path

    @model_validator(mode="after")
    def _distances_rank_a_share(self) -> Self:
        if self.test_words_by != "hash" and isinstance(self.test_words, list):
            raise ValueError(
                f"test_words_by {self.test_words_by} chooses a share of the objects, but test_words is a list; "
                "make it a share, or test_words_by hash"
            )
        return self


class ClipParams(Section):
    frames: PositiveInt  # T
    height: PositiveInt  # H, pixels
    width: PositiveInt  # W, pixels
    spread: Literal["time", "index"]
    seconds: Positive | None
    stride: PositiveInt | None

    @model_validator(mode="after")
    def _one_window(self) -> Self:
        if self.seconds is not None and self.stride is not None:
            raise ValueError(f"clip.seconds {self.seconds:g} and clip.stride {self.stride} exclude each other")
        return self


class LimitParams(Section):
    frame_pixels: PositiveInt
    video_pixels: PositiveInt
    video_frames: PositiveInt
    seconds: Positive
    memory_bytes: PositiveInt


class TranscodeParams(Section):
    decoder: Literal["in_process", "ffmpeg"]
    place: Literal["centre", "random"]
    windows: PositiveInt
    crop: Literal["centre", "motion"]
    untagged_hd: Literal["bt601", "bt709"]
    short_clips: Literal["drop", "repeat_last"]
    picture_rate: Positive | None
    limits: LimitParams
    shard_format: Literal["parquet", "npz"]
    shard_clips: PositiveInt


class EmbeddingParams(Section):
    source: Literal["learned", "subword", "file", "spacy", "sentence"]
    path: QuotedPath
    package: Text | None
    width: Annotated[int, Field(ge=2, multiple_of=2)]  # half co-occurrence, half spelling
    spare_words: Annotated[int, Field(ge=0)]


class TokenizeParams(Section):
    model: Text | None
    lemmas: bool
    max_tokens: PositiveInt
    spelling: PositiveInt | None
    min_word_count: PositiveInt
    oov: Literal["drop", "unk", "subword"]
    embeddings: EmbeddingParams

    @model_validator(mode="after")
    def _unlearned_words_have_vectors(self) -> Self:
        if self.oov == "subword" and self.embeddings.source == "learned":
            raise ValueError(
                "tokenize.oov subword needs vectors for words that are not learned: set tokenize.embeddings.source to "
                "subword, file, spacy or sentence, or tokenize.oov to unk"
            )
        return self


def count_doublings(shape: ClipParams) -> int:
    """The number of doublings, from 4 to 7 pixels on the shorter side. Raises ValueError for unsupported sides."""
    height, width = shape.height, shape.width
    doublings = _doublings(min(height, width))
    if not _can_be_made(height, width):
        raise ValueError(
            f"clip.height {height} and clip.width {width} must be at least 8 and multiples of {1 << doublings}; "
            f"nearest: {' or '.join(f'{high}x{wide}' for high, wide in _nearest(height, width))}"
        )
    return doublings


def _doublings(side: int) -> int:
    """The number of doublings from 4 to 7 pixels to this side; at least 1."""
    return max(side.bit_length() - 3, 1)


def _can_be_made(height: int, width: int) -> bool:
    """Whether both sides are divisible by the factor of the shorter one's doublings."""
    step = 1 << _doublings(min(height, width))
    return min(height, width) >= 8 and height % step == 0 and width % step == 0


def _nearest(height: int, width: int) -> list[tuple[int, int]]:
    """The nearest supported sides, one pair no larger and one no smaller, if they exist."""
    pairs: set[tuple[int, int]] = set()
    for doublings in range(1, _doublings(min(height, width)) + 2):
        highs, wides = (_multiples_around(side, 1 << doublings) for side in (height, width))
        pairs |= {pair for pair in itertools.product(highs, wides) if _can_be_made(*pair)}
    shorter = [pair for pair in pairs if pair[0] <= height and pair[1] <= width]
    longer = [pair for pair in pairs if pair[0] >= height and pair[1] >= width]
    return [min(some, key=lambda pair: abs(sum(pair) - height - width)) for some in (shorter, longer) if some]


def _multiples_around(side: int, step: int) -> tuple[int, int]:
    """The multiples of `step` below and above a side, at least 8."""
    return max(side // step * step, 8), max(-(-side // step) * step, 8)
