"""Pairs clips with others of similar contents, for comparisons in which contents must not differ."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

Kinds = Sequence[Hashable]  # of a clip, from the narrowest to the widest


def match_contents(wanted: Sequence[Kinds], available: Sequence[Kinds]) -> list[int]:
    """For each wanted clip the index of an available one, none twice, of the same narrowest kind that still has one.

    All have equally many kinds, the widest of which is the same for all; at least as many are available as wanted.
    """
    free = dict.fromkeys(range(len(available)))
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for index, kinds in enumerate(available):
        for level, kind in enumerate(kinds):
            alike[level, kind].append(index)
    found = [-1] * len(wanted)
    for level in range(len(wanted[0]) if wanted else 0):  # best matches first, so that no clip takes one from a better
        for row, kinds in enumerate(wanted):
            if found[row] < 0:
                found[row] = next((index for index in alike[level, kinds[level]] if index in free), -1)
                free.pop(found[row], None)
    return found
