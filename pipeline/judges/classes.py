"""Objects, categories and captions in numbers, as the judge classifies them; and parsing a caption into names."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.directions.table import WAYS
from pipeline.records import Caption, Clip

Meaning = tuple[str, tuple[str, ...]]  # category and objects

Tokens = tuple[str, ...]


@dataclass(frozen=True)
class NewWord:
    """An object that training never showed, and the seen object whose word vector is nearest."""

    name: str
    near: str
    cosine: float


@dataclass(frozen=True)
class Prompt:
    """What a clip should show, in the judge's classes."""

    caption: Caption
    object: int  # class of the first object, -1 where the judge has none of that name
    category: int
    meaning: int  # number of the pair of category and objects
    moves: tuple[float, float] | None  # right and down, where the clip's labels name a direction
    new: NewWord | None = None  # where the object is an unseen one; `object` is then the seen one it should look like


@dataclass(frozen=True)
class Classes:
    """What the judge classifies. A clip's object is the first one that its caption names."""

    objects: tuple[str, ...]
    categories: tuple[str, ...]
    _meanings: dict[Meaning, int] = field(default_factory=dict, compare=False)

    def build_prompt(self, clip: Clip, caption: Caption) -> Prompt:
        """The clip's caption in numbers; -1 for what the judge has no class for."""
        return Prompt(
            caption=caption,
            object=self.find_object(clip.objects[0] if clip.objects else ""),
            category=_find(self.categories, clip.category),
            meaning=self._meanings.setdefault((clip.category, clip.objects), len(self._meanings)),
            moves=WAYS.get(clip.moves),
        )

    def find_object(self, name: str) -> int:
        """The class of an object by name; -1 where there is none."""
        return _find(self.objects, name)

    def build_prompts(self, clips: Sequence[Clip], captions: Mapping[str, Caption]) -> list[Prompt]:
        """A prompt for each clip; `captions` by clip id."""
        return [self.build_prompt(clip, captions[clip.id]) for clip in clips]


def select_classes(clips: Sequence[Clip], min_clips: int) -> Classes:
    """The first objects and the categories of at least `min_clips` of the clips, in alphabetical order."""
    objects = Counter(clip.objects[0] for clip in clips if clip.objects)
    categories = Counter(clip.category for clip in clips)
    return Classes(_select_frequent(objects, min_clips), _select_frequent(categories, min_clips))


def _select_frequent(counts: Counter[str], least: int) -> tuple[str, ...]:
    return tuple(sorted(name for name, count in counts.items() if count >= least))


def _find(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else -1


class CaptionParser:
    """Finds the category and the objects that a caption names, by the words that the captions of a run use for them."""

    def __init__(self, clips: Iterable[Clip], captions: Mapping[str, Caption]) -> None:
        categories: dict[Tokens, Counter[str]] = defaultdict(Counter)
        objects: dict[Tokens, Counter[str]] = defaultdict(Counter)
        for clip in clips:
            caption = captions[clip.id]
            categories[caption.action_tokens][clip.category] += 1
            # A caption may lack one of the objects, so each is found by its slot.
            for number, name in enumerate(clip.objects, 1):
                objects[_select_slot(caption, number)][name] += 1
        objects.pop((), None)
        self._categories, self._objects = _commonest(categories), _commonest(objects)

    def parse(self, caption: Caption) -> Meaning:
        """The category, empty where the words around the objects are those of none, and the objects."""
        numbers = range(1, max(caption.slots, default=0) + 1)
        parts = [tokens for number in numbers if (tokens := _select_slot(caption, number))]
        objects = tuple(self._objects.get(tokens, " ".join(tokens)) for tokens in parts)
        return self._categories.get(caption.action_tokens, ""), objects


def _select_slot(caption: Caption, number: int) -> Tokens:
    return tuple(token for token, slot in zip(caption.tokens, caption.slots, strict=True) if slot == number)


def _commonest(names: Mapping[Tokens, Counter[str]]) -> dict[Tokens, str]:
    return {tokens: counts.most_common(1)[0][0] for tokens, counts in names.items()}
