"""Names <-> numbers for the judges, clips and free captions as prompts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.directions import find_motion
from pipeline.records import Caption, Clip

Meaning = tuple[str, tuple[str, ...]]  # category and objects

Words = tuple[str, ...]


@dataclass(frozen=True)
class NewWord:
    """An object that training never showed, and the seen one whose word is nearest to its own."""

    name: str
    near: str
    cosine: float


@dataclass(frozen=True)
class Prompt:
    """What a clip should show, in the terms of the judge."""

    caption: Caption
    object: int  # number of the first object among the judge's, -1 where it knows none of that name
    category: int
    meaning: int  # number of the pair of category and objects
    moves: tuple[float, float] | None  # right and down, where the caption says
    new: NewWord | None = None  # where the object is a new one; `object` is then the seen one that it should look like


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
            moves=find_motion(clip.caption),
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


class Hearing:
    """Knows by which words the captions of a run name their categories and objects."""

    def __init__(self, clips: Iterable[Clip], captions: Mapping[str, Caption]) -> None:
        categories: dict[Words, Counter[str]] = defaultdict(Counter)
        objects: dict[Words, Counter[str]] = defaultdict(Counter)
        for clip in clips:
            caption = captions[clip.id]
            categories[caption.action_tokens][clip.category] += 1
            # A caption may lack one of the objects, so they are told apart by their slots.
            for number, name in enumerate(clip.objects, 1):
                objects[_words_of(caption, number)][name] += 1
        objects.pop((), None)
        self._categories, self._objects = _commonest(categories), _commonest(objects)

    def meaning(self, caption: Caption) -> Meaning:
        """The category, empty where the words around the objects are those of none, and the objects."""
        numbers = range(1, max(caption.slots, default=0) + 1)
        parts = [words for number in numbers if (words := _words_of(caption, number))]
        objects = tuple(self._objects.get(words, " ".join(words)) for words in parts)
        return self._categories.get(caption.action_tokens, ""), objects


def _words_of(caption: Caption, number: int) -> Words:
    return tuple(token for token, slot in zip(caption.tokens, caption.slots, strict=True) if slot == number)


def _commonest(names: Mapping[Words, Counter[str]]) -> dict[Words, str]:
    return {words: counts.most_common(1)[0][0] for words, counts in names.items()}
