"""The official split lists of UCF-101 and HMDB-51 -> rows. Which of the three is `dataset.official_list`.

`dataset.labels` is the folder of lists, `dataset.videos` the one with a folder of videos per class.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.corpus.readers.folders import spell_out
from pipeline.corpus.readers.lists import read_classes
from pipeline.corpus.rows import LabelRow, OfficialSplit, make_id
from pipeline.errors import UserError
from pipeline.files import read_text_lines
from pipeline.params import DatasetParams

UCF_CLASSES = "classInd.txt"
HMDB_PARTS: dict[str, OfficialSplit] = {"1": "train", "2": "test"}


def read_ucf101(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """Rows of `trainlist0N.txt`, `Class/v_Class_g01_c01.avi 1`, and of `testlist0N.txt`, which has no class numbers."""
    classes = read_classes(_find(labels, UCF_CLASSES))
    parts: tuple[OfficialSplit, ...] = ("train", "test")
    rows = []
    for split in parts:
        name = f"{split}list0{dataset.official_list}.txt"
        for number, line in enumerate(read_text_lines(_find(labels, name))):
            if line.strip():
                rows.append(_read_ucf_line(line.strip(), classes, split, (name, number), labels))
    return rows


def read_hmdb51(labels: Path, dataset: DatasetParams) -> list[LabelRow]:
    """Rows of `<class>_test_splitN.txt`, `name.avi 1`: 1 is train, 2 test, and 0 in neither, which is counted aloud."""
    ending = f"_test_split{dataset.official_list}.txt"
    lists = sorted(labels.glob(f"*{ending}")) if labels.is_dir() else []
    if not lists:
        raise UserError(f"{labels}: holds no list <class>{ending}; see dataset.labels and dataset.official_list")
    listed = [found for path in lists for found in _read_hmdb_list(path, path.name.removesuffix(ending))]
    rows = [row for row in listed if row]
    if len(rows) < len(listed):
        told = f"{len(listed) - len(rows)} of {len(listed)} clips are neither in the train nor in the test part"
        print(f"filter: {labels}: {told} of split {dataset.official_list}", file=sys.stderr)
    return rows


def _read_ucf_line(
    line: str, classes: dict[str, str], split: OfficialSplit, place: tuple[str, int], labels: Path
) -> LabelRow:
    path, _, number = line.rpartition(" ") if line.rpartition(" ")[2].isdecimal() else (line, "", "")
    path = path.strip()
    category = path.partition("/")[0] if "/" in path else ""
    told = f"{labels / place[0]}: row {place[1]}, {line[:80]!r},"
    if category not in classes.values():
        raise UserError(f"{told} is in no folder of a class that {UCF_CLASSES} names; download the lists again")
    if number and classes.get(number) != category:
        meant = classes.get(number, "no class")
        raise UserError(f"{told} has the number of {meant}; {UCF_CLASSES} and the lists are not of one set")
    return _row(path, category, split, place)


def _read_hmdb_list(path: Path, category: str) -> Iterator[LabelRow | None]:
    for number, line in enumerate(read_text_lines(path)):
        name, _, part = line.strip().rpartition(" ")
        if line.strip() and (not name or part not in ("0", *HMDB_PARTS)):
            raise UserError(
                f"{path}: row {number} is {line[:80]!r}, not a name and 0, 1 or 2; download the lists again"
            )
        if name:
            video = f"{category}/{name.strip()}"
            yield _row(video, category, HMDB_PARTS[part], (path.name, number)) if part in HMDB_PARTS else None


def _row(video: str, category: str, split: OfficialSplit, place: tuple[str, int]) -> LabelRow:
    return LabelRow(
        id=make_id(video),
        label=spell_out(category),
        template=category,
        placeholders=(),
        objects=(),
        official_split=split,
        place=place,
        video=video,
    )


def _find(labels: Path, name: str) -> Path:
    if not (labels / name).is_file():
        raise UserError(f"{labels}: holds no {name}; see dataset.labels and dataset.official_list")
    return labels / name
