"""Trains the judge on the real clips of one split, and measures its accuracy on another."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.data.dataset import Dataset, pad, to_training
from pipeline.data.sampler import derive_seed
from pipeline.directions import DirectionRules, find_twin_fault, make_twin
from pipeline.errors import UserError
from pipeline.judges import Classes, Judge, Prompt, select_classes
from pipeline.params import ClipParams, JudgeParams
from pipeline.records import Clip, Frames, Progress, no_progress
from pipeline.text.tokenizer import encode
from pipeline.text.vocabulary import Vocabulary

SHIFT = 8  # a clip is shifted by up to 1/SHIFT of its height and width
WEIGHT_DECAY = 0.05  # of matrices and convolutions
MAX_LOGIT_SCALE = math.log(100.0)  # as in CLIP: above, training becomes unstable
SMOOTHING = 0.05  # label smoothing, since few clips per object are soon memorised

Accuracy = dict[str, float | None]  # for "object" and "category"; None without clips of known classes


@dataclass(frozen=True)
class Examples:
    """Clips with their classes and captions; a class of -1 is unknown and has no loss."""

    frames: Tensor  # uint8 [N,T,H,W,3]
    token_ids: Tensor  # int64 [N,L]
    objects: Tensor  # int64 [N]
    categories: Tensor  # int64 [N]
    meanings: Tensor  # int64 [N]; equal if category and objects are
    twin_ids: Tensor  # int64 [N,L]; of the mirrored clip, if flippable
    twin_categories: Tensor  # int64 [N]
    twin_meanings: Tensor  # int64 [N]
    flippable: Tensor  # bool [N]

    def __len__(self) -> int:
        return len(self.frames)


def build_examples(frames: Frames, prompts: Sequence[Prompt], twins: Sequence[Prompt | None]) -> Examples:
    """Examples from clips uint8 [N,T,H,W,3], their prompts, and those of their mirror images; None: no flipping."""
    shown = [twin or prompt for prompt, twin in zip(prompts, twins, strict=True)]
    ids = pad([prompt.caption.token_ids for prompt in (*prompts, *shown)])
    token_ids, twin_ids = ids[: len(prompts)], ids[len(prompts) :]
    return Examples(
        frames=torch.from_numpy(frames),
        token_ids=token_ids,
        objects=torch.tensor([prompt.object for prompt in prompts]),
        categories=torch.tensor([prompt.category for prompt in prompts]),
        meanings=torch.tensor([prompt.meaning for prompt in prompts]),
        twin_ids=twin_ids,
        twin_categories=torch.tensor([prompt.category for prompt in shown]),
        twin_meanings=torch.tensor([prompt.meaning for prompt in shown]),
        flippable=torch.tensor([twin is not None for twin in twins]),
    )


def read_examples(dataset: Dataset, options: JudgeParams) -> tuple[Classes, Examples]:
    """The classes with enough clips in the split `judge`, and the clips of that split."""
    rows = dataset.rows("judge", options.clips)
    clips = dataset.clips(rows)
    classes = select_classes(clips, options.min_class_clips)
    prompts = classes.build_prompts(clips, dataset.captions)
    twins = [_build_twin(clip, classes, dataset.vocabulary, dataset.directions) for clip in clips]
    return classes, build_examples(dataset.frames(rows), prompts, twins)


def _build_twin(clip: Clip, classes: Classes, vocabulary: Vocabulary, directions: DirectionRules) -> Prompt | None:
    """The prompt of the mirror image of a clip; None if it must not be flipped."""
    if find_twin_fault(clip, directions):
        return None
    twin = make_twin(clip, directions)
    return classes.build_prompt(twin, encode(twin.caption, vocabulary, len(twin.caption)).caption)


def train_on_split(
    dataset: Dataset, shape: ClipParams, options: JudgeParams, seed: int, progress: Progress = no_progress
) -> tuple[Judge, dict[str, Any]]:
    """A judge trained on the split `judge`, and its description, with its accuracy on the split `val`.

    The description has what `load_judge` needs to build the judge.
    """
    classes, examples = read_examples(dataset, options)
    seed = derive_seed(seed, "judge")
    judge = train_judge(shape, classes, len(dataset.vocabulary), examples, options, seed, progress)
    rows = dataset.rows("val", options.clips)
    prompts = classes.build_prompts(dataset.clips(rows), dataset.captions)
    description = {
        "clip": shape.model_dump(),
        "width": options.width,
        "words": len(dataset.vocabulary),
        "objects": classes.objects,
        "categories": classes.categories,
        "clips": len(examples),
        "val": {"clips": len(rows), "accuracy": measure_accuracy(judge, dataset.frames(rows), prompts)},
    }
    return judge, description


def train_judge(
    shape: ClipParams,
    classes: Classes,
    words: int,
    examples: Examples,
    options: JudgeParams,
    seed: int,
    progress: Progress = no_progress,
) -> Judge:
    """A new judge, trained if there are enough clips; deterministic in `seed`. Raises UserError if it diverges."""
    torch.manual_seed(seed)
    judge = Judge(shape, options.width, len(classes.objects), len(classes.categories), words)
    judge.training_clips = len(examples)
    if not judge.untrained:
        with progress("judge, steps", options.steps) as advance:
            fit(judge, examples, options, torch.Generator().manual_seed(seed), advance)
    judge.eval().requires_grad_(False)
    if not all(torch.isfinite(weight).all() for weight in judge.parameters()):
        raise UserError(f"the judge diverged: its weights are not finite; lower judge.lr, now {options.lr:g}")
    return judge


def measure_accuracy(judge: Judge, frames: Frames, prompts: Sequence[Prompt]) -> Accuracy:
    """The accuracy of the judge's objects and categories, over the clips of known classes."""
    accuracy: Accuracy = {"object": None, "category": None}
    if not prompts or judge.untrained:
        return accuracy
    features, _ = judge.extract_all(frames)
    with torch.inference_mode():
        answers = {"object": judge.objects(features).argmax(1), "category": judge.categories(features).argmax(1)}
    for kind, answer in answers.items():
        wanted = torch.tensor([getattr(prompt, kind) for prompt in prompts])
        known = wanted >= 0
        if known.any():
            accuracy[kind] = round(float((answer == wanted)[known].float().mean()), 4)
    return accuracy


def fit(
    judge: Judge, examples: Examples, options: JudgeParams, generator: torch.Generator, advance: Callable[[], None]
) -> None:
    """Train in place; `generator` is the only source of randomness; `advance` is called after each step."""
    optimizer = torch.optim.AdamW(list_parameter_groups(judge), lr=options.lr)
    judge.train()
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = options.lr * (1 - step / options.steps)
        rows = torch.randint(len(examples), (options.batch_clips,), generator=generator)
        loss = _compute_loss(judge, examples, rows, generator)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            judge.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        advance()


def list_parameter_groups(judge: Judge) -> list[dict[str, Any]]:
    """The weights of layers, which decay; and biases, gains, word vectors and the logit scale, which do not."""
    words = judge.captions.words.weight
    decayed = [weight for weight in judge.parameters() if weight.dim() > 1 and weight is not words]
    others = [weight for weight in judge.parameters() if weight.dim() < 2 or weight is words]
    return [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]


def _compute_loss(judge: Judge, examples: Examples, rows: Tensor, generator: torch.Generator) -> Tensor:
    flips = examples.flippable[rows] & (torch.rand(len(rows), generator=generator) < 0.5)
    features, _ = judge(jitter_clips(to_training(examples.frames[rows]), flips, generator))
    categories = torch.where(flips, examples.twin_categories[rows], examples.categories[rows])
    token_ids = torch.where(flips[:, None], examples.twin_ids[rows], examples.token_ids[rows])
    meanings = torch.where(flips, examples.twin_meanings[rows], examples.meanings[rows])
    object_loss = _cross_entropy(judge.objects(features), examples.objects[rows])
    category_loss = _cross_entropy(judge.categories(features), categories)
    return object_loss + category_loss + _contrastive_loss(judge, features, token_ids, meanings)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    known = labels >= 0
    summed = F.cross_entropy(logits[known], labels[known], label_smoothing=SMOOTHING, reduction="sum")
    return summed / known.sum().clamp(min=1)


def _contrastive_loss(judge: Judge, features: Tensor, token_ids: Tensor, meanings: Tensor) -> Tensor:
    """Symmetric contrastive loss between the clips and captions of a batch; equal meanings are all positives."""
    cosines = judge.clip_vectors(features) @ judge.caption_vectors(token_ids).T * judge.logit_scale.exp()
    right = (meanings[:, None] == meanings).float()
    right = right / right.sum(dim=1, keepdim=True)
    return (F.cross_entropy(cosines, right) + F.cross_entropy(cosines.T, right)) / 2


def jitter_clips(frames: Tensor, flips: Tensor, generator: torch.Generator) -> Tensor:
    """Clips [B,3,T,H,W], flipped if `flips` [B] is true, with noise and, per clip, a random shift, gain and offset."""
    count, _, _, height, width = frames.shape
    frames = torch.where(flips[:, None, None, None, None], frames.flip(4), frames)
    reach = height // SHIFT, width // SHIFT
    shifts = zip(*(torch.randint(2 * side + 1, (count,), generator=generator).tolist() for side in reach), strict=True)
    padded = F.pad(frames, (reach[1], reach[1], reach[0], reach[0], 0, 0), mode="replicate")
    shifted = zip(padded, shifts, strict=True)
    frames = torch.stack([clip[..., y : y + height, x : x + width] for clip, (y, x) in shifted])
    gain, offset = torch.randn(2, count, 1, 1, 1, 1, generator=generator)
    grain = torch.randn(frames.shape, generator=generator)
    frames = frames * (1 + 0.2 * gain) + 0.1 * offset + 0.08 * grain
    return frames.contiguous(memory_format=torch.channels_last_3d)
