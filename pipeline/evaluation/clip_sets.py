"""The sets of clips of an evaluation: generated clips, real ones, controls, and clips of unseen words."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset, select_evenly
from pipeline.directions import WAYS, turn_way
from pipeline.errors import UserError
from pipeline.evaluation import controls
from pipeline.evaluation.measured_clips import ClipSet
from pipeline.judges import Classes, NewWord, Prompt
from pipeline.params import EvaluateParams
from pipeline.records import Caption, Clip, Frames, Split, slugify
from pipeline.text.embeddings import extend_vocabulary, read_embeddings
from pipeline.text.neighbours import Neighbour, SeenObjects, replace_object, tokenize_name
from pipeline.text.parsing import encode
from pipeline.text.vocabulary import Vocabulary

Host = tuple[Clip, Caption]
FEW = 0.1  # of the clips of a split: leaving out fewer needs no reordering

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
    rows = dataset.rows("test_words", options.real_clips)
    prompts = classes.build_prompts(dataset.clips(rows), dataset.captions)
    embeddings = read_embeddings(dataset.folders.vectors)
    if embeddings is None:
        if options.new_words:
            path = dataset.folders.vectors
            raise UserError(f"{path}: no such file, but evaluate.new_words needs it; see tokenize.embeddings.source")
        return NewWords(prompts, [], np.zeros((0, 0), np.float32))
    vocabulary = dataset.vocabulary
    seen = SeenObjects(_list_objects(dataset, "train", options.train_clips), vocabulary, embeddings)
    names = _list_objects(dataset, "test_words", options.real_clips)
    parts = (part for word in options.new_words for part in tokenize_name(word, vocabulary))
    larger, vectors = extend_vocabulary(parts, vocabulary, embeddings)
    hosts = select_hosts(dataset.clips(dataset.rows("test", options.real_clips)), dataset.captions)
    inserted = insert_new_words(options.new_words, hosts, seen, larger, classes)
    return NewWords(assign_neighbours(prompts, names, seen, classes), inserted, vectors)


def _list_objects(dataset: Dataset, split: Split, most: int) -> list[str]:
    return [clip.objects[0] if clip.objects else "" for clip in dataset.clips(dataset.rows(split, most))]


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
                f"evaluate.new_words: there is no vector for {word!r}, or none for any object; take another word, or "
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
    if caption is None or clip.moves not in WAYS:
        return None
    category = slugify(template) if template else clip.category
    reversed_clip = replace(clip, caption=caption, category=category, moves=turn_way(clip.moves))
    return classes.build_prompt(reversed_clip, encode(caption, dataset.vocabulary, len(caption)).caption)


class RealClips(NamedTuple):
    """Real clips by split, uint8 [N,T,H,W,3], with their prompts."""

    test: ClipSet
    val: ClipSet
    train: ClipSet
    pairs: ClipSet
    words: ClipSet


def read_real_clips(dataset: Dataset, classes: Classes, params: EvaluateParams) -> RealClips:
    """The real clips of each split, at most as many as `params` says. Raises UserError if test or train has none."""

    def read(split: Split, most: int) -> ClipSet:
        rows = dataset.rows(split, most)
        return ClipSet(dataset.frames(rows), classes.build_prompts(dataset.clips(rows), dataset.captions))

    reals = RealClips(
        test=read("test", params.real_clips),
        val=read("val", params.real_clips),
        train=read("train", params.train_clips),
        pairs=read("test_pairs", params.real_clips),
        words=read("test_words", params.real_clips),
    )
    if not reals.test.prompts or not reals.train.prompts:
        raise UserError(
            f"evaluate: {len(reals.test.prompts)} clips in the split test and {len(reals.train.prompts)} in train, "
            "where both are needed; see filter.shares, and how many groups or videos there are to divide"
        )
    equal = min(len(reals.test.prompts), len(reals.val.prompts))
    return reals._replace(test=spread_first(reals.test, equal), val=spread_first(reals.val, equal))


def spread_first(clips: ClipSet, count: int) -> ClipSet:
    """Reorder clips so that the first `count`, which distances compare, are spread evenly over all of them.

    Clips are sorted by name, which may begin with a category. If hardly any are left out, the order is kept.
    """
    if not count or len(clips.prompts) - count <= FEW * len(clips.prompts):
        return clips
    first = select_evenly(range(len(clips.prompts)), count)
    rows = [*first, *sorted(set(range(len(clips.prompts))) - set(first))]
    return ClipSet(clips.frames[rows], [clips.prompts[row] for row in rows])


def generate_clips(
    draw: Draw, reals: RealClips, new: Sequence[Prompt], opposites: dict[str, Prompt], params: EvaluateParams
) -> dict[str, ClipSet]:
    """Samples for the captions of the test splits, and for the prompts with `new` objects.

    `opposites` maps captions to the prompts of the opposite direction.
    """
    seen = repeat(reals.test.prompts, params.samples)
    turned = [prompt for prompt in seen if prompt.caption.text in opposites]
    varied = select_distinct(reals.test.prompts, params.varied_captions)
    wanted = {
        "model": seen,
        "model, varied": repeat(varied, len(varied) * params.varied_samples),
        "model, pairs": repeat(reals.pairs.prompts, params.samples),
        "model, words": repeat(new, params.samples),
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


def plant_controls(reals: RealClips, seed: int) -> dict[str, ClipSet]:
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
