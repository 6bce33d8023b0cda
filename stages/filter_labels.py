"""Stage `filter`: label files and a folder of videos -> clips.parquet, dropped.parquet, report.json."""

from collections import Counter
from pathlib import Path

from pipeline.corpus.choose import choose_clips
from pipeline.corpus.read import read_rows
from pipeline.errors import run
from pipeline.params import DatasetParams, FilterParams, load_params, worker_count
from pipeline.records import SPLITS, Clip, Drop
from pipeline.reports import write_report
from pipeline.tables import write_table


def filter_labels(
    labels: Path, videos: Path, out: Path, dataset: DatasetParams, options: FilterParams, workers: int
) -> None:
    """Choose and split the clips; nothing is written before all of it is decided."""
    rows = read_rows(labels, dataset)
    choice = choose_clips(rows, videos, options, workers)
    write_table(out / "clips.parquet", Clip, choice.clips)
    write_table(out / "dropped.parquet", Drop, choice.drops)
    cells = Counter((clip.category, clip.split) for clip in choice.clips)
    write_report(
        out / "report.json",
        read=len(rows),
        kept=sum(not clip.mirrored for clip in choice.clips),
        drops=choice.drops,
        splits={split: sum(clip.split == split for clip in choice.clips) for split in SPLITS},
        categories={
            category: {split: cells[category, split] for split in SPLITS}
            for category in sorted({clip.category for clip in choice.clips})
        },
        objects=Counter(word for clip in choice.clips for word in clip.objects),
        test_pairs=choice.pairs,
        test_words=choice.words,
        mirrored={"added": sum(clip.mirrored for clip in choice.clips), "left_out": choice.unmirrored},
    )
    print(
        f"filter: {len(rows)} rows read, {len(rows) - len(choice.drops)} clips kept, {len(choice.pairs)} pairs held out"
    )


def main(
    labels: Path = Path("data/demo/labels"), videos: Path = Path("data/demo/videos"), out: Path = Path("data/labels")
) -> None:
    """Choose the clips that params.yaml names, and split them."""
    params = load_params(Path("params.yaml"))
    filter_labels(labels, videos, out, params.dataset, params.filter, worker_count(params.compute))


if __name__ == "__main__":
    run(main)
