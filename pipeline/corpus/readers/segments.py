"""Columns that say which part of a video a row is about."""

import re
from collections.abc import Sequence

STARTS = {"start", "begin", "onset", "from"}
ENDS = {"end", "stop", "offset", "to"}
WHOLE = {"segment", "segments", "timestamps", "relevant windows", "times", "temporal segment"}  # start and end in one
BESIDE = {
    *("time", "timestamp", "frame", "sec", "secs", "second", "seconds", "s", "ms", "t", "clip", "segment", "temporal"),
    *("coordinates", "video", "timestep", "narration", "action", "event", "index", "idx"),
}
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def find_segment_columns(header: Sequence[str]) -> list[str]:
    """The columns that look like the start and the end of a part of a video, in their order; empty for one alone."""
    words = {name: re.findall(r"[a-z]+", HUMP.sub(" ", name).lower()) for name in header}
    starts = [name for name, parts in words.items() if _is_about(parts, STARTS)]
    ends = [name for name, parts in words.items() if _is_about(parts, ENDS)]
    whole = [name for name, parts in words.items() if " ".join(parts) in WHOLE]
    return [name for name in header if name in (*(starts + ends if starts and ends else []), *whole)]


def _is_about(words: Sequence[str], what: set[str]) -> bool:
    return sum(word in what for word in words) == 1 and all(word in what or word in BESIDE for word in words)
