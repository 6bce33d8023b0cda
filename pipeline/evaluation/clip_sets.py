"""The sets of clips of an evaluation: generated clips, real ones, controls, and clips of unseen words."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset
from pipeline.directions import DIRECTIONS, reverse_direction
from pipeline.errors import UserError
from pipeline.evaluation import controls
from pipeline.evaluation.measured_clips import ClipSet
from pipeline.judges import Classes, NewWord, Prompt
from pipeline.params import EvaluateParams
from pipeline.records import Caption, Clip, Frames, Split, slugify
from pipeline.text.embeddings import (
    Neighbour,
    SeenObjects,
    extend_vocabulary,
    read_embeddings,
    replace_object,
    tokenize_name,
)
from pipeline.text.tokenizer import encode
from pipeline.text.vocabulary import Vocabulary

Host = tuple[Clip, Caption]
GOLDEN = (5**0.5 - 1) / 2  # the ratio whose multiples are spread most evenly

Draw = Callable[[Sequence[Prompt], int], Frames]  # prompts and a seed -> a clip each; equal rows and seeds, equal noise


class NewWords(NamedTuple):
    """Prompts with objects that the generator was never trained on."""

    held_out: list[Prompt]  # one for each real clip of the split test_words
    inserted: list[Prompt]  # words of evaluate.new_words in captions of the split test
    vectors: NDArray[np.float32]  # [N,D] of the words that must be added to the generator


def build_new_words(dataset: Dataset, classes: Classes, options: EvaluateParams) -> NewWords:
    """Prompts of held-out objects and new words; the wanted class of each is the seen object with the nearest vector.

    Raises UserError if there are no vectors for the new words.
    """
    rows = _select_rows(dataset, "test_words", options.real_clips)
    prompts = classes.build_prompts(dataset.clips(rows), dataset.captions)
    embeddings = read_embeddings(dataset.folders.vectors)
    if embeddings is None:
        if options.new_words:
            path = dataset.folders.vectors
            raise UserError(f"{path}: no such file, but evaluate.new_words needs it; see tokenize.embeddings.source")
        return NewWords(prompts, [], np.zeros((0, 0), np.float32))
    vocabulary = dataset.vocabulary
    seen = SeenObjects(_list_objects(dataset, dataset.rows("train", options.train_clips)), vocabulary, embeddings)
    names = _list_objects(dataset, rows)
    parts = (part for word in options.new_words for part in tokenize_name(word, vocabulary))
    larger, vectors = extend_vocabulary(parts, vocabulary, embeddings)
    hosts = select_hosts(dataset.clips(dataset.rows("test", options.real_clips)), dataset.captions)
    inserted = insert_new_words(options.new_words, hosts, seen, larger, classes)
    return NewWords(assign_neighbours(prompts, names, seen, classes), inserted, vectors)


def _list_objects(dataset: Dataset, rows: Sequence[int]) -> list[str]:
    return [clip.objects[0] if clip.objects else "" for clip in dataset.clips(rows)]


def assign_neighbours(
    prompts: Sequence[Prompt], names: Sequence[str], seen: SeenObjects, classes: Classes
) -> list[Prompt]:
    """Prompts whose wanted class is the seen object nearest to `names`, since the judge knows seen ones only."""
    return [
        _assign_neighbour(prompt, name, seen.find_nearest(name), classes)
        for prompt, name in zip(prompts, names, strict=True)
    ]


def insert_new_words(
    words: Iterable[str], hosts: Sequence[Host], seen: SeenObjects, vocabulary: Vocabulary, classes: Classes
) -> list[Prompt]:
    """Each new word in place of the first object of each host. Raises UserError for a word without a vector."""
    prompts = []
    for word in words:
        near = seen.find_nearest(word)
        if near is None:
            raise UserError(
                f"evaluate.new_words: there is no vector for {word!r}, or none for any object; choose another word, or "
                "vectors of more words (tokenize.embeddings: another file, or more spare_words)"
            )
        for clip, caption in hosts:
            prompt = classes.build_prompt(replace(clip, objects=(word,)), replace_object(caption, word, vocabulary))
            prompts.append(_assign_neighbour(prompt, word, near, classes))
    return prompts


def select_hosts(clips: Iterable[Clip], captions: Mapping[str, Caption]) -> list[Host]:
    """The first clip of each category whose caption names an object."""
    hosts: dict[str, Host] = {}
    for clip in clips:
        if 1 in captions[clip.id].slots:
            hosts.setdefault(clip.category, (clip, captions[clip.id]))
    return list(hosts.values())


def _assign_neighbour(prompt: Prompt, name: str, near: Neighbour | None, classes: Classes) -> Prompt:
    if near is None:
        return replace(prompt, object=-1)
    return replace(prompt, object=classes.find_object(near.name), new=NewWord(name, near.name, near.cosine))


def build_opposites(dataset: Dataset, classes: Classes, options: EvaluateParams) -> dict[str, Prompt]:
    """Captions of the split test -> prompts of the opposite direction; captions without one are left out."""
    clips = dataset.clips(dataset.rows("test", options.real_clips))
    pairs = ((clip.caption, _build_opposite(clip, classes, dataset)) for clip in clips)
    return {caption: prompt for caption, prompt in pairs if prompt is not None}


def _build_opposite(clip: Clip, classes: Classes, dataset: Dataset) -> Prompt | None:
    """None if the caption has no opposite, or the clip's direction of motion cannot be measured."""
    caption, template = (dataset.directions.find_opposite(text) for text in (clip.caption, clip.template))
    if caption is None or clip.moves not in DIRECTIONS:
        return None
    category = slugify(template) if template else clip.category
    reversed_clip = replace(clip, caption=caption, category=category, moves=reverse_direction(clip.moves))
    return classes.build_prompt(reversed_clip, encode(caption, dataset.vocabulary, len(caption)).caption)


def interleave_words(prompts: Iterable[Prompt]) -> list[Prompt]:
    """The prompts in turns: one for each new word, then a second one for each, and so on."""
    of_word: dict[str, list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        of_word[prompt.new.name if prompt.new else ""].append(prompt)
    return [prompt for turn in zip_longest(*of_word.values()) for prompt in turn if prompt is not None]


class RealClipSets(NamedTuple):
    """Real clips by split, uint8 [N,T,H,W,3], with their prompts."""

    test: ClipSet
    val: ClipSet
    train: ClipSet
    pairs: ClipSet
    words: ClipSet


def read_real_clips(dataset: Dataset, classes: Classes, params: EvaluateParams) -> RealClipSets:
    """The real clips of each split, at most as many as `params` says. Raises UserError if test or train has none."""

    def read(split: Split, most: int) -> ClipSet:
        rows = _select_rows(dataset, split, most)
        return ClipSet(dataset.frames(rows), classes.build_prompts(dataset.clips(rows), dataset.captions))

    reals = RealClipSets(
        test=read("test", params.real_clips),
        val=read("val", params.real_clips),
        train=read("train", params.train_clips),
        pairs=read("test_pairs", params.real_clips),
        words=read("test_words", params.real_clips),
    )
    if not reals.test.prompts or not reals.train.prompts:
        raise UserError(
            f"evaluate: {len(reals.test.prompts)} clips in the test split and {len(reals.train.prompts)} in train, "
            "where both are needed; see filter.shares, and how many groups or videos there are to divide"
        )
    return reals


def _select_rows(dataset: Dataset, split: Split, most: int) -> list[int]:
    """The rows of a split, at most `most`, in an order of which any first few are spread evenly over all of them.

    Clips are sorted by name, which may begin with a category, and samples, distances and networks often need fewer
    clips than there are.
    """
    rows = dataset.rows(split, most)
    return [rows[index] for index in order_evenly(len(rows))]


def order_evenly(count: int) -> list[int]:
    """0 to count - 1 in the order of the multiples of the golden ratio: the first N are spread evenly, for any N."""
    order: list[int] = np.argsort(np.argsort(np.arange(count) * GOLDEN % 1)).tolist()
    return order


def generate_clips(
    draw: Draw, reals: RealClipSets, new: Sequence[Prompt], opposites: dict[str, Prompt], params: EvaluateParams
) -> dict[str, ClipSet]:
    """Samples for the captions of the test splits, and for the prompts with `new` objects.

    Each word of `evaluate.new_words` has at least one. `opposites` maps captions to the prompts of the opposite
    direction.
    """
    seen = repeat(reals.test.prompts, params.samples)
    turned = [prompt for prompt in seen if prompt.caption.text in opposites]
    varied = select_distinct(reals.test.prompts, params.varied_captions)
    wanted = {
        "model": seen,
        "model, varied": repeat(varied, len(varied) * params.varied_samples),
        "model, pairs": repeat(reals.pairs.prompts, params.samples),
        "model, words": repeat(new, max(params.samples, len(params.new_words))),
    }
    sets = {
        name: ClipSet(draw(prompts, params.seed + index), prompts)
        for index, (name, prompts) in enumerate(wanted.items())
        if prompts
    }
    if turned:
        # The same noise for both captions, so that they differ in the direction only.
        back = [opposites[prompt.caption.text] for prompt in turned]
        sets["model, turned from"] = ClipSet(draw(turned, params.seed + len(wanted)), turned)
        sets["model, turned to"] = ClipSet(draw(back, params.seed + len(wanted)), back)
    return sets


def plant_controls(reals: RealClipSets, seed: int) -> dict[str, ClipSet]:
    """The controls, one clip for each real clip of the test split."""
    rng = np.random.default_rng(seed)
    frames, prompts = reals.test
    copies = controls.copy_train(*reals.train, prompts, rng)
    swapped = controls.swap_categories(prompts, np.random.default_rng(seed))
    return {
        controls.TRAIN_COPY: copies,
        controls.NOISY_COPY: ClipSet(controls.add_noise(copies.frames, rng), copies.prompts),
        controls.MEAN: controls.average_clips(*reals.train, prompts),
        controls.FROZEN: ClipSet(controls.freeze(frames), prompts),
        controls.SHUFFLED: ClipSet(controls.shuffle_frames(frames, rng), prompts),
        controls.BACKWARDS: ClipSet(controls.reverse(frames), prompts),
        controls.CHANCE: ClipSet(frames, controls.shuffle_captions(prompts, rng)),
        controls.NOISE_ALONE: ClipSet(controls.draw_noise(len(frames), frames.shape[1:], rng), prompts),
        controls.FASTER: ClipSet(controls.double_speed(frames), prompts),
        controls.OTHER_CATEGORY: ClipSet(frames[list(swapped)], list(swapped.values())),
    }


def repeat(prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    """`count` prompts: these in order, repeated as often as needed."""
    return [prompts[index % len(prompts)] for index in range(count)] if prompts else []


def select_distinct(prompts: Sequence[Prompt], most: int) -> list[Prompt]:
    """The first prompt of each meaning, at most `most` of them."""
    first: dict[int, Prompt] = {}
    for prompt in prompts:
        first.setdefault(prompt.meaning, prompt)
    return list(first.values())[:most]
