"""Stage `filter`: label files, videos and perhaps word vectors -> clips.parquet, drops, report.json."""

import gc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.corpus.choose import NothingToTrainOn, choose_clips
from pipeline.corpus.readers import read_rows
from pipeline.corpus.rows import LabelRow
from pipeline.corpus.split import NO_VECTORS, Vectors
from pipeline.errors import UserError, run
from pipeline.letters import find_words
from pipeline.params import DatasetParams, FilterParams, load_params, worker_count
from pipeline.records import DROPS, SPLITS, Clip, Drop
from pipeline.tables import write_report, write_table
from pipeline.text.vector_files import read_vectors


def filter_labels(
    labels: Path, videos: Path, vectors: Path, out: Path, dataset: DatasetParams, options: FilterParams, workers: int
) -> None:
    """Choose and split the clips; nothing is written before all of it is decided.

    Where no clip to train on is left, only the drops and the report are written. Raises UserError then.
    """
    rows = read_rows(labels, dataset)
    try:
        words = _read_vectors(vectors, rows, options)
        choice = choose_clips(rows, videos, options, workers, words, dataset.group_pattern)
    except NothingToTrainOn as nothing:
        (out / "clips.parquet").unlink(missing_ok=True)  # of a run before
        write_table(out / DROPS, Drop, nothing.drops)
        write_report(out / "report.json", read=len(rows), kept=nothing.kept, drops=nothing.drops)
        raise UserError(f"{nothing}; all reasons are in {out / DROPS}") from None
    write_table(out / "clips.parquet", Clip, choice.clips)
    write_table(out / DROPS, Drop, choice.drops)
    splits = Counter(clip.split for clip in choice.clips)
    counts = Counter((clip.category, clip.split) for clip in choice.clips)
    write_report(
        out / "report.json",
        read=len(rows),
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
    print(
        f"filter: {len(rows)} rows read, {len(rows) - len(choice.drops)} clips kept, {len(choice.pairs)} pairs held out"
    )


def _read_vectors(path: Path, rows: Sequence[LabelRow], options: FilterParams) -> Vectors:
    """The vectors of the words in the rows, where held-out words are chosen by their distance."""
    if options.test_words_by == "hash":
        return NO_VECTORS
    said = {word for row in rows for text in (row.label, *row.objects) for word in find_words(text.lower())}
    try:
        file = read_vectors(path, said, 0)
    except UserError as error:
        message = f"filter.word_vectors, which filter.test_words_by {options.test_words_by} needs: {error}"
        raise UserError(message) from None
    for warning in file.warnings():
        print(f"filter: {warning}")
    return file.words


def main(
    labels: Path = Path("data/demo/labels"),
    videos: Path = Path("data/demo/videos"),
    vectors: Path = Path("data/no-vectors.txt"),
    out: Path = Path("data/labels"),
) -> None:
    """Choose the clips that params.yaml names, and split them."""
    gc.disable()  # no row refers to itself, and looking for such rows took a quarter of the time
    params = load_params(Path("params.yaml"))
    filter_labels(labels, videos, vectors, out, params.dataset, params.filter, worker_count(params.compute))


if __name__ == "__main__":
    run(main)
