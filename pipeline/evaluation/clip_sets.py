"""The sets of clips that one evaluation looks at: generated, real, planted, and those of unseen words."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pipeline.data.dataset import Dataset
from pipeline.errors import UserError
from pipeline.evaluation import controls
from pipeline.evaluation.controls import Clips
from pipeline.judges.classes import Classes, NewWord, Prompt
from pipeline.params import EvaluateParams
from pipeline.records import Caption, Clip, Frames, Split
from pipeline.text.neighbours import Neighbour, SeenObjects, replace_object
from pipeline.text.vocabulary import Vocabulary

Host = tuple[Clip, Caption]

Draw = Callable[[Sequence[Prompt], int], Frames]  # prompts and a seed -> one clip each; rows share noise by their place


def as_neighbours(prompts: Sequence[Prompt], names: Sequence[str], seen: SeenObjects, classes: Classes) -> list[Prompt]:
    """Prompts of held-out objects by name, each asking for the nearest seen one: no judge has been shown another."""
    return [
        _as_neighbour(prompt, name, seen.find_nearest(name), classes)
        for prompt, name in zip(prompts, names, strict=True)
    ]


def in_place(
    words: Iterable[str], hosts: Sequence[Host], seen: SeenObjects, vocabulary: Vocabulary, classes: Classes
) -> list[Prompt]:
    """Each new word in place of the first object of each host. Raises UserError for one that no vector leads from."""
    prompts = []
    for word in words:
        near = seen.find_nearest(word)
        if near is None:
            raise UserError(
                f"evaluate.new_words: there is no vector for {word!r}, or none for any object; take another word, or "
                "vectors of more words (tokenize.embeddings: another file, or more spare_words)"
            )
        for clip, caption in hosts:
            asked = classes.build_prompt(replace(clip, objects=(word,)), replace_object(caption, word, vocabulary))
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
    return replace(prompt, object=classes.find_object(near.name), new=NewWord(name, near.name, near.cosine))


class Reals(NamedTuple):
    """Real clips by split, uint8 [N,T,H,W,3], with what they show."""

    test: Clips
    val: Clips
    train: Clips
    pairs: Clips
    words: Clips


def reals_of(dataset: Dataset, classes: Classes, params: EvaluateParams) -> Reals:
    """The real clips of a run, no more of each split than `params` allows. Raises UserError where there are too few."""

    def real(split: Split, most: int) -> Clips:
        rows = dataset.rows(split, most)
        return Clips(dataset.frames(rows), classes.build_prompts(dataset.clips(rows), dataset.captions))

    reals = Reals(
        test=real("test", params.real_clips),
        val=real("val", params.real_clips),
        train=real("train", params.train_clips),
        pairs=real("test_pairs", params.real_clips),
        words=real("test_words", params.real_clips),
    )
    if not reals.test.prompts or not reals.train.prompts:
        raise UserError(
            f"evaluate: {len(reals.test.prompts)} clips in the split test and {len(reals.train.prompts)} in train, "
            "where both are needed; see filter.shares"
        )
    return reals


def generated(
    draw: Draw, reals: Reals, new: Sequence[Prompt], opposites: dict[str, Prompt], params: EvaluateParams
) -> dict[str, Clips]:
    """What the generator makes of captions of the test splits, and of captions with `new` objects.

    `opposites` holds reversed captions by caption.
    """
    seen = repeated(reals.test.prompts, params.samples)
    turned = [prompt for prompt in seen if prompt.caption.text in opposites]
    varied = different(reals.test.prompts, params.varied_captions)
    wanted = {
        "model": seen,
        "model, varied": repeated(varied, len(varied) * params.varied_samples),
        "model, pairs": repeated(reals.pairs.prompts, params.samples),
        "model, words": repeated(new, params.samples),
    }
    sets = {
        name: Clips(draw(prompts, params.seed + place), prompts)
        for place, (name, prompts) in enumerate(wanted.items())
        if prompts
    }
    if turned:
        # The same noise under both captions: all that differs is the direction.
        back = [opposites[prompt.caption.text] for prompt in turned]
        sets["model, turned from"] = Clips(draw(turned, params.seed + len(wanted)), turned)
        sets["model, turned to"] = Clips(draw(back, params.seed + len(wanted)), back)
    return sets


def planted(reals: Reals, seed: int) -> dict[str, Clips]:
    """The controls, one clip for each real clip of the test split."""
    rng = np.random.default_rng(seed)
    frames, prompts = reals.test
    copied = controls.train_copy(*reals.train, prompts, rng)
    return {
        "train copy": copied,
        "noisy train copy": Clips(controls.noisy(copied.frames, rng), copied.prompts),
        "mean clip": controls.mean_clips(*reals.train, prompts),
        "frozen": Clips(controls.frozen(frames), prompts),
        "shuffled frames": Clips(controls.shuffled_frames(frames, rng), prompts),
        "backwards": Clips(controls.backwards(frames), prompts),
        "shuffled captions": Clips(frames, controls.shuffled_captions(prompts, rng)),
        "noise": Clips(controls.noise_clips(len(frames), frames.shape[1:], rng), prompts),
    }


def repeated(prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    """`count` prompts, one after the other and from the start again."""
    return [prompts[place % len(prompts)] for place in range(count)] if prompts else []


def different(prompts: Sequence[Prompt], most: int) -> list[Prompt]:
    """The first prompt of each meaning, at most so many."""
    first: dict[int, Prompt] = {}
    for prompt in prompts:
        first.setdefault(prompt.meaning, prompt)
    return list(first.values())[:most]
