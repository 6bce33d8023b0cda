"""Names <-> numbers for the judges, and clips as prompts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.directions import motion_of
from pipeline.evaluation.views import Prompt
from pipeline.records import Caption, Clip

Meaning = tuple[str, tuple[str, ...]]  # category and objects


@dataclass(frozen=True)
class Classes:
    """What the judges can tell apart. A clip's object is the first one that its caption names."""

    objects: tuple[str, ...]
    categories: tuple[str, ...]
    _meanings: dict[Meaning, int] = field(default_factory=dict, compare=False)

    def prompt(self, clip: Clip, caption: Caption) -> Prompt:
        """The clip's caption in numbers; -1 for what no judge knows."""
        return Prompt(
            caption=caption,
            object=self.object_number(clip.objects[0] if clip.objects else ""),
            category=_place(self.categories, clip.category),
            meaning=self._meanings.setdefault((clip.category, clip.objects), len(self._meanings)),
            moves=motion_of(clip.caption),
        )

    def object_number(self, name: str) -> int:
        """-1 for an object that no judge knows."""
        return _place(self.objects, name)

    def prompts(self, clips: Sequence[Clip], captions: Mapping[str, Caption]) -> list[Prompt]:
        """The same for many; `captions` by clip id."""
        return [self.prompt(clip, captions[clip.id]) for clip in clips]


def classes_of(clips: Sequence[Clip], min_clips: int) -> Classes:
    """The first objects and the categories that stand in at least `min_clips` of the clips, by alphabet."""
    objects = Counter(clip.objects[0] for clip in clips if clip.objects)
    categories = Counter(clip.category for clip in clips)
    return Classes(_frequent(objects, min_clips), _frequent(categories, min_clips))


def _frequent(counts: Counter[str], least: int) -> tuple[str, ...]:
    return tuple(sorted(name for name, count in counts.items() if count >= least))


def _place(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else -1
