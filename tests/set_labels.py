"""What the reader of a published set, and `auto`, make of labels."""

import math

from settings import TREE

from pipeline.corpus.readers import read_rows
from pipeline.params import DatasetParams

WHOLE = (0.0, math.inf)


def section(kind, labels, **columns):
    tree = TREE["dataset"]
    videos = labels.parent / "videos" if labels.name == "labels" else labels.parent.parent / "videos"
    return DatasetParams(
        **{
            **tree,
            "format": kind,
            "labels": str(labels),
            "videos": str(videos),
            "columns": {**tree["columns"], **columns},
        }
    )


def seen(kind, labels, **columns):
    """What a set's reader and `auto` read alike: video without `**/`, caption, category, split, segment, group."""
    rows = read_rows(labels, section(kind, labels, **columns))
    assert rows == read_rows(labels, section("auto", labels, **columns))
    assert all(row.video.startswith("**/") for row in rows if row.video)
    return [
        (row.video[3:], row.label, row.template, row.official_split, tuple(row.segment), row.group)
        for row in rows
        if not row.segment_fault
    ]


def faults(kind, labels, **columns):
    rows = read_rows(labels, section(kind, labels, **columns))
    return [(row.id, row.segment_fault) for row in rows if row.segment_fault]
