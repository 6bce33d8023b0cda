"""CVAT for video 1.1, and the tags of CVAT for images 1.1 -> rows.

A track is a part of the video from its first box to the first one that is `outside`; it may reappear. If
`dataset.columns` names an attribute, a part lasts as long as its value. Frames are numbered from 0, with the rate
`dataset.segments.rate`, which exports do not state. The labels are an XML file, the ZIP file that contains it, or a
folder with one for each task.
"""

import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple
from xml.etree.ElementTree import Element

from pipeline.corpus import LabelRow
from pipeline.corpus.readers.exports import (
    LabelledPart,
    MediaFiles,
    Named,
    choose_names,
    read_exports,
    read_xml,
    read_xml_text,
)
from pipeline.errors import UserError
from pipeline.params import DatasetParams

TOOL = "CVAT"
ENDINGS = (".xml", ".zip")
INSIDE = "annotations.xml"  # in a ZIP file
# Errors of the standard library for files that are not ZIP, truncated or use unsupported features.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, UnicodeDecodeError)
REMEDY = "export the task again as CVAT for video 1.1"
ATTRIBUTES = {"id", "label", "frame", "outside", "name", "task_id"}
NO_SHAPES = {"attribute"}
FRAME_NAME = re.compile(r"frame_(\d+)(?:\.\w+)?\Z", re.IGNORECASE)
MARKS = re.compile(rb"<(?:version|meta|track|image)\b")
STEP = re.compile(r"\s*step\s*=\s*(\d+)")

Texts = tuple[str | None, str | None]  # category and caption, as in LabelledPart


class TaskVideo(NamedTuple):
    """The video of a task, and the frame step: source frames per frame of the task."""

    video: str
    step: int


class Keyframe(NamedTuple):
    """A frame in which a track or tag has these texts, or ends."""

    frame: int
    texts: Texts | None  # None: outside


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """A row for each part of a track or run of tags. Raises UserError if the labels are no export of CVAT."""
    media = MediaFiles(Path(dataset.videos))
    return read_exports(labels, dataset, media, ENDINGS, TOOL, lambda path: _read_parts(path, dataset))


def detect(path: Path, start: bytes) -> str:
    """Why this is an export of CVAT, by the start of a file; empty if it is not."""
    if path.suffix.lower() == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                return f"there is an {INSIDE} in {path.name}" if _find_inside(archive) else ""
        except DAMAGED:
            return ""
    return f"{path.name} holds annotations of videos" if b"<annotations" in start and MARKS.search(start) else ""


def _read_parts(path: Path, dataset: DatasetParams) -> Iterator[LabelledPart]:
    with _open_xml(path) as file:
        root = read_xml(file, path, ATTRIBUTES, REMEDY)
    if root.tag != "annotations":
        raise UserError(f"{path}: its root is <{root.tag}>, not <annotations>; {REMEDY}")
    rate = dataset.segments.rate
    if rate is None:
        detail = "CVAT numbers the frames of a video, and its export does not state their rate"
        raise UserError(f"{path}: {detail}; set dataset.segments.rate to the frames per second of the videos")
    tasks = _read_tasks(root, path)
    known = sorted({str(found.get("name")) for found in root.iter("attribute") if found.get("name")})
    named = choose_names(path, dataset, "attribute", known)
    runs = [*_read_tracks(root, path, named), *_read_tags(root, path, named, tasks)]
    if not runs:
        raise UserError(f"{path}: holds neither tracks nor tags; {REMEDY}")
    for task_id, keyframes in runs:
        task = _find_task(tasks, task_id)
        yield from list(_list_parts(task, keyframes, rate)) or [LabelledPart(task.video, "", None)]


def _list_parts(task: TaskVideo, keyframes: Sequence[Keyframe], rate: float) -> Iterator[LabelledPart]:
    """The parts in which a track has constant texts; they hold from a keyframe to the next."""
    start: Keyframe | None = None
    for number, keyframe in enumerate(keyframes):
        if start is None:
            start = keyframe if keyframe.texts is not None else None
        elif keyframe.texts != start.texts:
            yield _make_part(task, start, keyframe.frame, rate)
            start = keyframe if keyframe.texts is not None else None
        if start is not None and number + 1 == len(keyframes):
            yield _make_part(task, start, keyframe.frame + task.step, rate)


def _make_part(task: TaskVideo, start: Keyframe, end: int, rate: float) -> LabelledPart:
    category, caption = start.texts or ("", None)
    still = f"frame {start.frame} alone is a still picture" if end - start.frame <= task.step else ""
    point = start.frame / rate if still else None
    return LabelledPart(task.video, category, caption, start.frame / rate, end / rate, still, point)


def _read_tracks(root: Element, path: Path, named: Named) -> Iterator[tuple[str, list[Keyframe]]]:
    for track in root.iter("track"):
        label = track.get("label", "")
        keyframes = []
        for shape in track:
            if shape.tag not in NO_SHAPES:
                texts = None if _is_outside(shape) else _read_texts(shape, label, named)
                keyframes.append(Keyframe(_read_number(path, shape, "frame"), texts))
        yield track.get("task_id", ""), sorted(keyframes, key=lambda keyframe: keyframe.frame)


def _read_tags(
    root: Element, path: Path, named: Named, tasks: dict[str, TaskVideo]
) -> Iterator[tuple[str, list[Keyframe]]]:
    """Consecutive frames with the same tag, as a track that ends after each such run."""
    frames: dict[tuple[str, Texts], list[int]] = defaultdict(list)
    for image in root.iter("image"):
        for tag in image.iter("tag"):
            found = FRAME_NAME.search(image.get("name", ""))
            if not found:
                detail = f"the tagged {image.get('name', '')[:80]!r} is a picture, no frame of a video"
                raise UserError(f"{path}: {detail}; a task of a video names them frame_000000 and so on")
            texts = _read_texts(tag, tag.get("label", ""), named)
            frames[image.get("task_id", ""), texts].append(int(found[1]))
    for tag in root.iterfind("tag"):
        texts = _read_texts(tag, tag.get("label", ""), named)
        frames[tag.get("task_id", ""), texts].append(_read_number(path, tag, "frame"))
    for (task_id, texts), numbers in frames.items():
        step = _find_task(tasks, task_id).step
        keyframes: list[Keyframe] = []
        for number in sorted(set(numbers)):
            if keyframes and keyframes[-1].frame + step < number:
                keyframes.append(Keyframe(keyframes[-1].frame + step, None))
            keyframes.append(Keyframe(number, texts))
        yield task_id, keyframes


def _read_texts(element: Element, label: str, named: Named) -> Texts:
    """The class and caption of a shape or tag; the label is the class unless an attribute is selected."""
    values = {found.get("name"): (found.text or "").strip() for found in element.iterfind("attribute")}
    category, caption = (None if name is None else _read_value(name, values.get(name, "")) for name in named)
    return label if named[0] is None else category, caption


def _read_value(name: str, value: str) -> str:
    """The value of an attribute; for a checkbox, the name of the attribute if it is ticked, else an empty text."""
    return {"true": name, "false": "", "__undefined__": ""}.get(value.lower(), value)


def _is_outside(shape: Element) -> bool:
    """Whether a shape is outside the frame; for a skeleton, whether all of its points are."""
    inner = [part.get("outside") for part in shape if part.tag not in NO_SHAPES]
    return shape.get("outside") == "1" or bool(shape.get("outside") is None and inner and set(inner) == {"1"})


def _read_number(path: Path, element: Element, name: str) -> int:
    text = element.get(name, "")
    if not text.isdecimal() or len(text) > 12:
        raise UserError(f"{path}: <{element.tag}> has the {name} {text[:40]!r}, which is not a number; {REMEDY}")
    return int(text)


def _read_tasks(root: Element, path: Path) -> dict[str, TaskVideo]:
    """The tasks by id; without any, a single task with an empty id, and the file's name as a fallback for its video."""
    meta = root.find("meta")
    meta = Element("meta") if meta is None else meta
    source = read_xml_text(meta, "source")
    tasks = {}
    for task in [*meta.iter("task"), *meta.iter("job")]:
        found = STEP.match(read_xml_text(task, "frame_filter"))
        video = read_xml_text(task, "source") or source or read_xml_text(task, "name")
        tasks[read_xml_text(task, "id")] = TaskVideo(video or _name_file(path), max(int(found[1]), 1) if found else 1)
    return tasks or {"": TaskVideo(source or _name_file(path), 1)}


def _find_task(tasks: dict[str, TaskVideo], task_id: str) -> TaskVideo:
    """The task with this id, or the first: exports of a single task do not name it in tracks."""
    return tasks.get(task_id) or next(iter(tasks.values()))


def _find_inside(archive: zipfile.ZipFile) -> str | None:
    return next((name for name in archive.namelist() if name.rpartition("/")[2] == INSIDE), None)


def _name_file(path: Path) -> str:
    """The stem of the file, or the name of its folder if it is annotations.xml from an unpacked ZIP file."""
    return path.parent.name if path.name.lower() == INSIDE else path.stem


@contextmanager
def _open_xml(path: Path) -> Iterator[IO[bytes]]:
    """Open the XML, in a file or a ZIP file. Raises UserError if a ZIP file is damaged or does not contain it."""
    if path.suffix.lower() != ".zip":
        with path.open("rb") as file:
            yield file
        return
    try:
        with zipfile.ZipFile(path) as archive:
            inside = _find_inside(archive)
            if inside is None:
                raise UserError(f"{path}: holds no {INSIDE}; {REMEDY}")
            with archive.open(inside) as file:
                yield file
    except DAMAGED as error:
        raise UserError(f"{path}: not a complete ZIP file ({error}); {REMEDY}") from None
