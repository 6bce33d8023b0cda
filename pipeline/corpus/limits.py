"""Which of the clips of the chosen categories stay: by their objects, by how many there are of each, and in all.

Each rule sees what the rules before it have left. Which clips a limit keeps is decided by a hash of the id: whatever
is added to the dataset, a clip can only be displaced by one with a smaller hash.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from pipeline.corpus.hashing import unit_hash
from pipeline.corpus.names import match_names
from pipeline.corpus.rows import Labelled
from pipeline.params import FilterParams
from pipeline.records import Drop, Reason

Sifted = tuple[list[Labelled], list[Drop]]  # what stays, and what goes
Fault = Callable[[Labelled], str | None]  # what is wrong with a clip, None where nothing is

WORD = r"[^\W_]+(?:['’][^\W_]+)*"  # noqa: RUF001
FORMS: dict[Literal["toy", "simple"], re.Pattern[str]] = {
    "toy": re.compile(WORD),
    "simple": re.compile(rf"{WORD}(?:-{WORD})*"),
}


def choose_by_objects(clips: Sequence[Labelled], options: FilterParams) -> Sifted:
    """The clips whose objects have the form of `objects`, are among `include_objects` and not among the excluded.

    Of several objects each must have the form, one must be included and none excluded. A clip that names no object
    has no wrong one, but no included one either. Raises UserError for a name in a list that no clip shows.
    """
    counts = Counter(word for clip in clips for word in set(clip.objects))
    included = match_names(options.include_objects, counts, "filter.include_objects")
    excluded = match_names(options.exclude_objects, counts, "filter.exclude_objects")
    rules: list[tuple[Reason, Fault]] = []
    if options.objects != "casual":
        form = FORMS[options.objects]
        rules.append(("object_form", lambda clip: next((w for w in clip.objects if not form.fullmatch(w)), None)))
    if included:
        rules.append(("other_object", lambda clip: _names(clip.objects) if included.isdisjoint(clip.objects) else None))
    if excluded:
        rules.append(("excluded_object", lambda clip: next((w for w in clip.objects if w in excluded), None)))
    return _sift(clips, rules)


def limit_clips(clips: Sequence[Labelled], options: FilterParams) -> Sifted:
    """The clips whose objects all have enough clips, and of those at most so many per object and in all."""
    kept, drops = _drop_rare(list(clips), options.min_object_clips)
    for limit in (_limit_objects, _limit_all):
        kept, beyond = limit(kept, options)
        drops += beyond
    return kept, drops


def _drop_rare(clips: list[Labelled], least: int) -> Sifted:
    """Dropping a clip makes its other objects rarer, so this goes on until every object left has enough."""
    drops: list[Drop] = []
    while True:
        counts = Counter(word for clip in clips for word in set(clip.objects))
        rare = {word: f"{word}: {count} of {least} clips" for word, count in counts.items() if count < least}
        if not rare:
            return clips, drops
        faults = {clip.id: rare[word] for clip in clips for word in clip.objects if word in rare}
        clips, gone = _sift_out(clips, "few_clips_of_object", faults)
        drops += gone


def _limit_objects(clips: list[Labelled], options: FilterParams) -> Sifted:
    most = options.max_object_clips
    if most is None:
        return clips, []
    taken: Counter[str] = Counter()
    faults: dict[str, str] = {}
    for clip in sorted(clips, key=_rank):
        full = next((word for word in clip.objects if taken[word] >= most), None)
        if full is None:
            for word in set(clip.objects):
                taken[word] += 1
        else:
            faults[clip.id] = f"{full}: more than {most} clips"
    return _sift_out(clips, "beyond_object_limit", faults)


def _limit_all(clips: list[Labelled], options: FilterParams) -> Sifted:
    if options.max_clips is None:
        return clips, []
    beyond = sorted(clips, key=_rank)[options.max_clips :]
    return _sift_out(clips, "beyond_clip_limit", {clip.id: f"more than {options.max_clips} clips" for clip in beyond})


def _rank(clip: Labelled) -> tuple[float, str]:
    return unit_hash("limit", clip.id), clip.id


def _sift(clips: Iterable[Labelled], rules: Sequence[tuple[Reason, Fault]]) -> Sifted:
    """What no rule finds fault with; the rest goes for the first reason that applies."""
    kept: list[Labelled] = []
    drops: list[Drop] = []
    for clip in clips:
        faults = ((reason, fault(clip)) for reason, fault in rules)
        found = next(((reason, detail) for reason, detail in faults if detail is not None), None)
        drops.append(Drop(clip.id, *found)) if found else kept.append(clip)
    return kept, drops


def _sift_out(clips: Sequence[Labelled], reason: Reason, faults: Mapping[str, str]) -> Sifted:
    """All clips but those whose id has a fault."""
    return _sift(clips, [(reason, lambda clip: faults.get(clip.id))])


def _names(objects: Sequence[str]) -> str:
    return ", ".join(objects) or "no object"
