"""Objects that training never showed: each should look like the seen object whose word is nearest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pipeline.errors import UserError
from pipeline.evaluation.classes import Classes
from pipeline.evaluation.views import NewWord, Prompt
from pipeline.records import Caption, Clip
from pipeline.text.neighbours import Neighbour
from pipeline.text.trials import SeenObjects, put_in_place
from pipeline.text.vocabulary import Vocabulary

Host = tuple[Clip, Caption]


def as_neighbours(prompts: Sequence[Prompt], names: Sequence[str], seen: SeenObjects, classes: Classes) -> list[Prompt]:
    """Prompts of held-out objects by name, each asking for the nearest seen one: no judge has been shown another."""
    return [
        _as_neighbour(prompt, name, seen.nearest_to(name), classes) for prompt, name in zip(prompts, names, strict=True)
    ]


def in_place(
    words: Iterable[str], hosts: Sequence[Host], seen: SeenObjects, vocabulary: Vocabulary, classes: Classes
) -> list[Prompt]:
    """Each new word in place of the first object of each host. Raises UserError for one that no vector leads from."""
    prompts = []
    for word in words:
        near = seen.nearest_to(word)
        if near is None:
            raise UserError(
                f"evaluate.new_words: there is no vector for {word!r}, or none for any object; take another word, or "
                "vectors of more words (tokenize.embeddings: another file, or more spare_words)"
            )
        for clip, caption in hosts:
            asked = classes.prompt(replace(clip, objects=(word,)), put_in_place(caption, word, vocabulary))
            prompts.append(_as_neighbour(asked, word, near, classes))
    return prompts


def hosts_of(clips: Iterable[Clip], captions: Mapping[str, Caption]) -> list[Host]:
    """The first clip of each category whose caption names an object."""
    hosts: dict[str, Host] = {}
    for clip in clips:
        if 1 in captions[clip.id].slots:
            hosts.setdefault(clip.category, (clip, captions[clip.id]))
    return list(hosts.values())


def _as_neighbour(prompt: Prompt, name: str, near: Neighbour | None, classes: Classes) -> Prompt:
    if near is None:
        return replace(prompt, object=-1)
    return replace(prompt, object=classes.object_number(near.name), new=NewWord(name, near.name, near.cosine))
