"""Captions that a clip does not fit: another clip's, or its own with the direction turned round."""

from collections.abc import Iterable, Sequence

from pipeline.directions import opposite
from pipeline.records import Caption


def opposite_ids(captions: Sequence[Caption], known: Iterable[Caption]) -> list[tuple[int, ...]]:
    """The token ids of each caption turned to the opposite way; empty where it has none in the words of `known`.

    "from left to right" and "from right to left" hold the same words, so these are the hardest negatives there are.
    """
    ids = {token: number for caption in known for token, number in zip(caption.tokens, caption.token_ids, strict=True)}
    turned: dict[tuple[str, ...], tuple[int, ...]] = {}
    for caption in captions:
        if caption.tokens not in turned:
            words = (opposite(" ".join(caption.tokens)) or "").split()
            turned[caption.tokens] = tuple(ids[word] for word in words) if set(words) <= ids.keys() else ()
    return [turned[caption.tokens] for caption in captions]
