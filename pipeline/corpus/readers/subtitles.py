"""Subtitles next to long videos, `talk.mp4` and `talk.srt` or `talk.en.vtt` -> rows: each cue is a part with a caption.

SubRip and WebVTT are told apart by the line `WEBVTT`. Tags, styles, positions and notes are no captions. If a file
repeats the line before in most cues, as the automatic captions of YouTube do, that line is left out.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from html import unescape
from itertools import pairwise, takewhile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pipeline.corpus import LabelRow, number_repeats
from pipeline.corpus.readers.exports import (
    Export,
    LabelledPart,
    MediaFiles,
    find_exports,
    make_part_rows,
    name_caption,
    refuse_columns,
    refuse_unknown,
)
from pipeline.corpus.segments import BadSegment, parse_time
from pipeline.corpus.text_files import read_text_lines
from pipeline.errors import UserError
from pipeline.params import DatasetParams, SegmentParams

TOOL = "subtitles"
ENDINGS = (".srt", ".vtt")
ARROW = "-->"
TIMES = re.compile(rf"\s*(\S+)\s*{ARROW}\s*(\S+)")  # positions may follow
CLOCK = SegmentParams(unit="seconds", rate=None, first=0, last="excluded", around=None)  # times have no other unit
RUBY = re.compile(r"<rt>.*?</rt>", re.DOTALL)  # how a word is pronounced
MARKUP = re.compile(r"</?[A-Za-z][^<>]*>|</>|<[\d:.]+>|\{\\[^{}]*\}")  # tags, times of words, styles of ASS
ENTITY = re.compile(r"&(?:\w+|#\d+|#x[0-9a-fA-F]+);")
ASS_SPACE = re.compile(r"\\[Nnh]")  # in files that were converted from ASS
ROLLING = 1 / 3  # least share of cues that show the line before again; of YouTube's, it is about a half


class Cue(NamedTuple):
    """A cue with the line of the file that has its times, from 1."""

    line: int
    times: str
    texts: list[str]  # its lines, not empty


class Subtitles(NamedTuple):
    """A file, the video it names, and what its name says besides, such as the language."""

    export: Export
    video: str
    tag: str


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """A row for each cue. Raises UserError if a file has no cues, or several files are about one video."""
    refuse_columns(dataset, TOOL, {"caption"})
    media = MediaFiles(Path(dataset.videos))
    found = [_name_video(export, labels, media) for export in find_exports(labels, ENDINGS, TOOL, mixed=True)]
    rows = []
    for file in _choose_language(labels, found, dataset):
        rows += make_part_rows(file.export, _list_parts(file), media, None)
    return number_repeats(rows)


def detect(files: Sequence[PurePosixPath], videos: Sequence[PurePosixPath]) -> str:
    """Why these files of a folder are subtitles of at least half of its videos, or of videos elsewhere; else empty.

    A few may lie in folders of classes, too, if the videos were downloaded with them.
    """
    found = [path for path in files if path.suffix.lower() in ENDINGS]
    beside = {video.with_suffix("") for video in videos}
    named = {name for path in found for name in _list_names(path)} & beside
    return f"there are subtitles such as {found[0]}" if found and 2 * len(named) >= len(beside) else ""


def _list_names(path: PurePosixPath) -> list[PurePosixPath]:
    """The path without its extension, then without what follows each dot: `talk.en.vtt` is `talk.en`, then `talk`."""
    names = [path.with_suffix("")]
    while names[-1].suffix:
        names.append(names[-1].with_suffix(""))
    return names


def _name_video(export: Export, labels: Path, media: MediaFiles) -> Subtitles:
    path = PurePosixPath(export.path.relative_to(labels) if labels.is_dir() else export.path.name)
    names = _list_names(path)
    video = next((name for name in names if media.holds(str(name))), names[0])
    return Subtitles(export, str(video), names[0].name[len(video.name) + 1 :])


def _choose_language(labels: Path, found: Sequence[Subtitles], dataset: DatasetParams) -> list[Subtitles]:
    """The files of the language that `columns.caption` names, or all. Raises UserError for two of one video."""
    tags = sorted({file.tag for file in found if file.tag})
    wanted = name_caption(dataset, ())
    chosen = [file for file in found if wanted is None or wanted in (file.tag, *file.tag.split("."))]
    if wanted is not None and not chosen:
        raise refuse_unknown(labels, "caption", wanted, "language in the names of subtitles", tags)
    if len(chosen) < len(found):
        print(f"filter: {len(found) - len(chosen)} files of subtitles are not of {wanted!r} and are not read")
    of_videos: dict[str, Subtitles] = {}
    for file in chosen:
        other = of_videos.setdefault(file.video, file)
        if other is not file:
            both = f"{other.export.path.name} and {file.export.path.name} are both about {file.video}"
            way = f"name one of {', '.join(tags)} in dataset.columns.caption, or " if tags else ""
            raise UserError(f"{file.export.path}: {both}; {way}keep one of them there")
    return chosen


def _list_parts(file: Subtitles) -> Iterator[LabelledPart]:
    path = file.export.path
    lines = read_text_lines(path)
    cues = _read_cues(lines)
    if not cues and any(line.strip() for line in lines) and not _is_webvtt(lines):
        way = "save it as SubRip (.srt) or WebVTT (.vtt), or take it away"
        raise UserError(f"{path}: has no line with two times, 00:00:01,500 {ARROW} 00:00:04,000; {way}")
    captions = [cue.texts for cue in cues]
    if _is_rolling(captions):
        message = "most cues begin with the last line of the cue before, which is left out"
        print(f"filter: {path}: {message}", file=sys.stderr)
        captions = [texts[1:] if before[-1:] == texts[:1] else texts for before, texts in pairwise([[], *captions])]
    for cue, texts in zip(cues, captions, strict=True):
        yield _make_part(file.video, cue, "\n".join(texts))
    if not cues:
        yield LabelledPart(file.video, None, "", where="line 1")


def _make_part(video: str, cue: Cue, caption: str) -> LabelledPart:
    where = f"line {cue.line}"
    found = TIMES.match(cue.times)
    try:
        if not found:
            raise BadSegment(f"{cue.times.strip()[:60]!r} is not two times")
        start, end = (parse_time(text, CLOCK, end=False) for text in found.groups())
    except BadSegment as error:
        return LabelledPart(video, None, caption, fault=str(error), where=where)
    return LabelledPart(video, None, caption, start, end, where=where)


def _is_webvtt(lines: Sequence[str]) -> bool:
    return bool(lines) and lines[0].lstrip("\ufeff").startswith("WEBVTT")


def _read_cues(lines: Sequence[str]) -> list[Cue]:
    """The cues: in WebVTT, a text ends at an empty line; in SubRip, only before the number of the next cue."""
    starts = [number for number, line in enumerate(lines) if ARROW in line]
    whole = _is_webvtt(lines)
    cues = []
    for start, after in pairwise([*starts, len(lines)]):
        texts = list(lines[start + 1 : after])
        if whole:  # a blank, which YouTube writes, does not end it
            texts = list(takewhile(bool, texts))
        elif after < len(lines) and texts and texts[-1].strip().isdecimal():
            texts.pop()
        plain = _remove_markup("\n".join(texts)).split("\n")
        cues.append(Cue(start + 1, lines[start], [text for line in plain if (text := line.strip())]))
    return cues


def _remove_markup(text: str) -> str:
    plain = ASS_SPACE.sub(" ", MARKUP.sub("", RUBY.sub("", text)))
    return ENTITY.sub(lambda found: unescape(found[0]), plain)


def _is_rolling(captions: Sequence[list[str]]) -> bool:
    """Whether cues of two lines begin with the line before so often that it is no coincidence."""
    again = sum(len(texts) > 1 and before[-1:] == texts[:1] for before, texts in pairwise(captions))
    return again > 1 and again >= ROLLING * len(captions)
