"""What a free caption is about, in the names that the clips of a run have."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from pipeline.evaluation.classes import Meaning
from pipeline.records import Caption, Clip

Words = tuple[str, ...]


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
