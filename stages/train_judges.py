"""Stage `judge`: real clips of the split `judge` and their captions -> two judges (safetensors), judges.json."""

from pathlib import Path

from pipeline.data.dataset import DataFolders, Dataset
from pipeline.data.sampler import derive
from pipeline.directions.mirror import find_twin_fault, make_twin
from pipeline.errors import run
from pipeline.judges.classes import Classes, Prompt, classes_of
from pipeline.judges.networks import NAMES, save_judges
from pipeline.judges.training import Lessons, lessons_of, marks_of, taught
from pipeline.params import ClipParams, JudgeParams, load_params
from pipeline.records import Clip
from pipeline.text.parsing import encode
from pipeline.text.vocabulary import Vocabulary, read_vocabulary


def train_judges(
    dataset: Dataset, vocabulary: Vocabulary, out: Path, shape: ClipParams, options: JudgeParams, seed: int
) -> None:
    """Train both judges on clips that the generator never meets; say how well they see those of the split val."""
    val = dataset.rows("val", options.clips)
    classes, lessons = read_lessons(dataset, vocabulary, options)
    judges = {
        name: taught(name, shape, classes, len(vocabulary), lessons, options, derive(seed, "judge", name))
        for name in NAMES
    }
    exam = classes.prompts(dataset.clips(val), dataset.captions)
    marks = {name: marks_of(judge, dataset.frames(val), exam) for name, judge in judges.items()}
    description = {
        "clip": shape.model_dump(),
        "width": options.width,
        "words": len(vocabulary),
        "objects": classes.objects,
        "categories": classes.categories,
        "clips": len(lessons),
        "val": marks,
    }
    save_judges(out, judges, description)
    for name, mark in marks.items():
        if judges[name].blind:
            print(f"judge {name}: blind: {judges[name].excuse}")
            continue
        print(f"judge {name}: {len(lessons)} clips learned; of {len(val)} clips of val right: {mark}")


def read_lessons(dataset: Dataset, vocabulary: Vocabulary, options: JudgeParams) -> tuple[Classes, Lessons]:
    """What there is to be told apart in the split judge, and the clips to learn it from."""
    rows = dataset.rows("judge", options.clips)
    clips = dataset.clips(rows)
    classes = classes_of(clips, options.min_class_clips)
    prompts = classes.prompts(clips, dataset.captions)
    return classes, lessons_of(dataset.frames(rows), prompts, [_twin(clip, classes, vocabulary) for clip in clips])


def _twin(clip: Clip, classes: Classes, vocabulary: Vocabulary) -> Prompt | None:
    """What the mirror image of a clip shows, None where it must not be flipped."""
    if find_twin_fault(clip):
        return None
    twin = make_twin(clip)
    return classes.prompt(twin, encode(twin.caption, vocabulary, len(twin.caption)).caption)


def main(
    labels: Path = Path("data/labels"),
    clips: Path = Path("data/clips"),
    captions: Path = Path("data/captions"),
    out: Path = Path("data/judge"),
) -> None:
    """Train the judges on the real clips that were set aside for them."""
    params = load_params()
    dataset = Dataset(DataFolders(labels, clips, captions))
    train_judges(dataset, read_vocabulary(captions / "vocabulary.json"), out, params.clip, params.judge, params.seed)


if __name__ == "__main__":
    run(main)
