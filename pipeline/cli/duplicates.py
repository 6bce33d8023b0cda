"""The unseen clips that training has all but seen, each beside the training clip nearest to it."""

from collections.abc import Iterator, Mapping, Sequence

from pipeline.cli.contact_sheet import Card, Part
from pipeline.duplicates import NearPair
from pipeline.records import Clip
from pipeline.shards import ShardReader

SHOWN = 20  # pairs: the nearest ones


def list_pairs(pairs: Sequence[NearPair], shards: ShardReader, labels: Mapping[str, Clip]) -> Iterator[list[str]]:
    """For each of the nearest pairs the cells of a line: how far apart, then id and split of both clips."""
    for pair in pairs[:SHOWN]:
        ids = [shards.ids[row] for row in (pair.one, pair.other)]
        yield [f"{pair.distance:.3f}", *(word for name in ids for word in (name, labels[name].split))]


def choose_pairs(pairs: Sequence[NearPair], shards: ShardReader, labels: Mapping[str, Clip]) -> Part:
    """The nearest pairs for a contact sheet, the two clips of each side by side."""
    cards = [
        Card(shards.captions[row], f"{shards.ids[row]} · {labels[shards.ids[row]].split} · {pair.distance:.3f}", row)
        for pair in pairs[:SHOWN]
        for row in (pair.one, pair.other)
    ]
    return Part(f"Near-duplicates: {len(cards) // 2} of {len(pairs)} pairs", cards)
