"""Stage `filter`: label files, videos and optional word vectors -> clips.parquet, drops, report.json."""

import gc
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pipeline.compute.sandbox import SandboxMode
from pipeline.corpus import LabelRow
from pipeline.corpus.choose import Choice, NothingToTrainOn, choose_clips
from pipeline.corpus.groups import ComputeSignatures, compute_no_signatures
from pipeline.corpus.sandboxed import read_labels
from pipeline.corpus.split import NO_VECTORS, Vectors
from pipeline.directions import DirectionRules, Phrase, complete_phrases
from pipeline.directions.english import are_in_english
from pipeline.errors import UserError, run
from pipeline.files import write_json
from pipeline.letters import find_words
from pipeline.monitoring import progress, report_drops
from pipeline.params import DatasetParams, FilterParams, load_params, worker_count
from pipeline.records import DIRECTION_RULES, DROPS, SPLITS, Clip, Drop, Split
from pipeline.tables import write_report, write_table
from pipeline.text.sandboxed import read_vector_file
from pipeline.transcoding import compute_signatures

HELD_BACK: tuple[Split, ...] = ("judge", "val", "test")
FEW, MANY = 10, 100  # thresholds of a warning: clips of a split, of the dataset


def filter_labels(
    labels: Path,
    videos: Path,
    vectors: Path,
    out: Path,
    dataset: DatasetParams,
    options: FilterParams,
    workers: int,
    sign: ComputeSignatures = compute_no_signatures,
    sandbox: SandboxMode = "off",
) -> None:
    """Select and split the clips; files are written only at the end.

    `sandbox` confines the reading of labels, vectors and archives. Raises UserError if no training clip is left, after
    writing only the drops and the report.
    """
    rows = read_labels(labels, dataset, sandbox)
    try:
        choice = choose_clips(
            rows,
            videos,
            options,
            workers,
            vectors=_read_vectors(vectors, rows, options, sandbox),
            path_pattern=dataset.path_pattern,
            directions=_build_directions(rows, dataset),
            pictures=dataset.pictures,
            sign=sign,
            sandbox=sandbox,
        )
    except NothingToTrainOn as nothing:
        _write_nothing(out, len(rows), nothing)
        raise UserError(f"{nothing}; all reasons are in {out / DROPS}") from None
    write_table(out / "clips.parquet", Clip, choice.clips)
    write_table(out / DROPS, Drop, choice.drops)
    write_json(out / DIRECTION_RULES, choice.directions.as_data())
    _write_report(out, len(rows), choice)
    _tell(out, len(rows), choice)
    _warn_of_oddities(choice, dataset, options)


def _tell(out: Path, read: int, choice: Choice) -> None:
    print(f"filter: {read} rows read, {read - len(choice.drops)} clips kept, {len(choice.pairs)} pairs held out")
    report_drops("filter", choice.drops, out / DROPS)


def _write_report(out: Path, read: int, choice: Choice) -> None:
    splits = Counter(clip.split for clip in choice.clips)
    counts = Counter((clip.category, clip.split) for clip in choice.clips)
    write_report(
        out / "report.json",
        read=read,
        kept=sum(not clip.mirrored for clip in choice.clips),
        drops=choice.drops,
        splits={split: splits[split] for split in SPLITS},
        categories={
            category: {split: counts[category, split] for split in SPLITS}
            for category in sorted({category for category, _ in counts})
        },
        objects=Counter(word for clip in choice.clips for word in clip.objects),
        test_pairs=choice.pairs,
        test_words=choice.words,
        mirrored={"added": sum(clip.mirrored for clip in choice.clips), "left_out": choice.unmirrored},
    )


def _warn_of_oddities(choice: Choice, dataset: DatasetParams, options: FilterParams) -> None:
    """Warn if no rule finds directions in captions, if many clips have no mirrored twin, and if splits are too small.

    Printed last, so that errors in paths come first.
    """
    if dataset.language == "auto" and not choice.directions.rules and not dataset.directions:
        message = "captions do not look English, so no rule tells which way they go"
        way = "list phrases in dataset.directions, or set dataset.language: en if they are, other if they tell no way"
        print(f"filter: {message}: {way}", file=sys.stderr)
    left_out = choice.unmirrored.total()
    if left_out * 2 > sum(not clip.mirrored for clip in choice.clips):
        counts = ", ".join(f"{reason} {count}" for reason, count in sorted(choice.unmirrored.items()))
        message = f"{left_out} clips have no mirrored twin ({counts})"
        print(f"filter: {message}; dataset.directions says which way phrases go", file=sys.stderr)
    clips = Counter(clip.split for clip in choice.clips if not clip.mirrored)
    if not clips["test"] and options.shares.test:
        _warn_of_no_test(choice)
        return
    small = [f"{name} {clips[name]}" for name in HELD_BACK if getattr(options.shares, name) and clips[name] < FEW]
    groups = len(_list_groups(choice))
    if small and len(choice.clips) >= MANY:
        message = f"few clips for so many: {', '.join(small)}; {groups} groups are divided, each as a whole"
        print(f"filter: {message}; see filter.shares and dataset.columns.group", file=sys.stderr)


def _warn_of_no_test(choice: Choice) -> None:
    """Warn, before the training, that the split test is empty, so that `evaluate` would fail."""
    groups, count = _list_groups(choice), len(choice.clips)
    videos = {clip.video for clip in choice.clips}
    if count == 1:
        message = f"one clip alone is left, and {len(choice.drops)} are dropped"
    elif len(videos) == 1:
        whole = "a video is in one split as a whole, whatever its groups"
        message = f"all {count} clips are of one video, {min(videos)!r}, and {whole}; cut it into several files"
    elif len(groups) == 1:
        message = f"all {count} clips are of one group, {min(groups)!r}, which is in one split as a whole"
    else:
        message = f"none of the {count} clips is in the test split"
    ways = "filter.shares, filter.duplicates, dataset.columns.group, dataset.path_pattern"
    print(f"filter: {message}: `evaluate` will have nothing to measure on; see {ways}", file=sys.stderr)


def _list_groups(choice: Choice) -> set[str]:
    """The units that are split: groups, or videos without one."""
    return {clip.group or clip.video for clip in choice.clips}


def _write_nothing(out: Path, read: int, nothing: NothingToTrainOn) -> None:
    """Write the drops and the report, and delete the other outputs of an earlier run."""
    for name in ("clips.parquet", DIRECTION_RULES):
        (out / name).unlink(missing_ok=True)
    write_table(out / DROPS, Drop, nothing.drops)
    write_report(out / "report.json", read=read, kept=nothing.kept, drops=nothing.drops)


def _build_directions(rows: Sequence[LabelRow], dataset: DatasetParams) -> DirectionRules:
    """The phrases of params, and whether English rules apply to captions without one."""
    phrases = [Phrase(**phrase.model_dump()) for phrase in dataset.directions]
    rules = dataset.language == "en" or (dataset.language == "auto" and are_in_english(row.label for row in rows))
    return DirectionRules(complete_phrases(phrases, "dataset.directions"), rules, every_text=dataset.language == "en")


def _read_vectors(path: Path, rows: Sequence[LabelRow], options: FilterParams, sandbox: SandboxMode) -> Vectors:
    """The vectors of the words in the rows, if held-out words are chosen by distance."""
    if options.test_words_by == "hash":
        return NO_VECTORS
    said = {word for row in rows for text in (row.label, *row.objects) for word in find_words(text.lower())}
    try:
        found = read_vector_file(path, said, 0, sandbox)
    except UserError as error:
        message = f"filter.word_vectors, which filter.test_words_by {options.test_words_by} needs: {error}"
        raise UserError(message) from None
    for warning in found.warnings:
        print(f"filter: {warning}")
    return found.words


def main(
    labels: Path = Path("data/demo/labels"),
    videos: Path = Path("data/demo/videos"),
    vectors: Path = Path("data/no-vectors.txt"),
    out: Path = Path("data/labels"),
) -> None:
    """Select clips by params.yaml, and split them."""
    gc.disable()  # rows have no reference cycles, and searching for them took a quarter of the time
    params = load_params(Path("params.yaml"))
    sign = partial(compute_signatures, videos, options=params.transcode, compute=params.compute, progress=progress)
    compute = params.compute
    filter_labels(
        labels, videos, vectors, out, params.dataset, params.filter, worker_count(compute), sign, compute.sandbox
    )


if __name__ == "__main__":
    run(main)
