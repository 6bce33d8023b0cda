"""A text file next to each video, `a.mp4` and `a.txt`, or a list of videos and a list of captions -> rows.

The labels are the folder of them, which may be that of the videos. A text is one caption, or with
`dataset.text_files: lines` one in each line. `videos.txt` and `prompts.txt` list a video and a caption in each line.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pipeline.corpus.readers.folders import walk
from pipeline.corpus.readers.table import ONLY_CATEGORY
from pipeline.corpus.rows import (
    LabelRow,
    make_path_row,
    match_split_folders,
    number_repeats,
    path_within,
)
from pipeline.errors import UserError
from pipeline.files import read_text_lines
from pipeline.params import DatasetParams

VIDEO_LISTS = ("videos.txt", "video.txt")
CAPTION_LISTS = ("prompts.txt", "prompt.txt", "captions.txt", "caption.txt")


def read_rows(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """A row per caption. Videos without a text and texts without a video are rows, too, to be dropped with a reason."""
    if not labels.is_dir():
        raise UserError(f"{labels}: no such folder with a .txt for each video; see dataset.labels")
    lists = find_lists(labels)
    if lists:
        return number_repeats(list(_read_lists(*lists, dataset)))
    files = list(walk(labels))
    texts = {str(path.with_suffix("")): path for path, _ in files if path.suffix.lower() == ".txt"}
    if not texts:
        raise UserError(f"{labels}: neither it nor a folder in it holds a .txt; see dataset.labels")
    videos = [file.path for file in files if file.is_video]
    without = set(texts) - {name for file in videos for name in (str(file), str(file.with_suffix("")))}
    named = sorted([*map(str, videos), *without])
    splits = match_split_folders({PurePosixPath(path).parts[0] if "/" in path else "" for path in named})
    rows = []
    for number, path in enumerate(named):
        text = texts.get(path if path in texts else str(PurePosixPath(path).with_suffix("")))
        split = splits.get(path.partition("/")[0], "all")
        place = (str(text or path), number)
        rows += [
            make_path_row(path, caption, ONLY_CATEGORY, split, place)
            for caption in _read_captions(labels, text, dataset)
        ]
    return number_repeats(rows)


def find_lists(labels: Path) -> tuple[Path, Path] | None:
    """The list of videos and that of captions; None where there is none of videos. Raises UserError for it alone."""
    videos = [labels / name for name in VIDEO_LISTS if (labels / name).is_file()]
    captions = [labels / name for name in CAPTION_LISTS if (labels / name).is_file()]
    if not videos:
        return None
    if len(videos) > 1 or len(captions) != 1:
        names = ", ".join(path.name for path in [*videos, *captions])
        raise UserError(f"{labels}: holds {names}; keep one of {', '.join(VIDEO_LISTS)} and one list of captions")
    return videos[0], captions[0]


def _read_captions(labels: Path, text: PurePosixPath | None, dataset: DatasetParams) -> list[str]:
    """The captions in a text; an empty one where there is none."""
    lines = read_text_lines(labels / text) if text else []
    if dataset.text_files == "lines":
        return [line for line in lines if line.strip()] or [""]
    return ["\n".join(lines)]


def _read_lists(videos: Path, captions: Path, dataset: DatasetParams) -> Iterator[LabelRow]:
    paths, texts = ([line.strip() for line in read_text_lines(path)] for path in (videos, captions))
    if len(paths) != len(texts):
        detail = (
            f"{len(paths)} lines, but {captions.name} has {len(texts)}; each line is about the same line of the other"
        )
        raise UserError(f"{videos}: has {detail}")
    for number, (path, text) in enumerate(zip(paths, texts, strict=True)):
        if path or text:
            video = path_within(dataset.videos, path)
            yield make_path_row(video, text, ONLY_CATEGORY, "all", (videos.name, number))
