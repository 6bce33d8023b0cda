"""Training a judge on the real clips of one split."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.data.batches import pad, to_training
from pipeline.errors import UserError
from pipeline.judges.classes import Classes, Prompt
from pipeline.judges.networks import Judge, JudgeName
from pipeline.params import ClipParams, JudgeParams
from pipeline.records import Frames

SHIFT = 8  # a clip is shifted by up to 1/SHIFT of its height and width
SMOOTHING = 0.05  # of the labels: a few clips per object are easily learned by heart


@dataclass(frozen=True)
class Lessons:
    """Clips with what there is to know about them; a label of -1 is unknown and teaches nothing."""

    frames: Tensor  # uint8 [N,T,H,W,3]
    token_ids: Tensor  # int64 [N,L]
    objects: Tensor  # int64 [N]
    categories: Tensor  # int64 [N]
    meanings: Tensor  # int64 [N]: equal where category and objects are
    twin_ids: Tensor  # int64 [N,L]: the caption of the mirror image, where the clip is flippable
    twin_categories: Tensor  # int64 [N]
    twin_meanings: Tensor  # int64 [N]
    flippable: Tensor  # bool [N]

    def __len__(self) -> int:
        return len(self.frames)


def lessons_of(frames: Frames, prompts: Sequence[Prompt], twins: Sequence[Prompt | None]) -> Lessons:
    """Clips uint8 [N,T,H,W,3], what each shows, and what its mirror image shows: None where it may not be flipped."""
    shown = [twin or prompt for prompt, twin in zip(prompts, twins, strict=True)]
    ids = pad([prompt.caption.token_ids for prompt in (*prompts, *shown)])
    token_ids, twin_ids = ids[: len(prompts)], ids[len(prompts) :]
    return Lessons(
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


def taught(
    name: JudgeName, shape: ClipParams, classes: Classes, words: int, lessons: Lessons, options: JudgeParams, seed: int
) -> Judge:
    """A new judge that has learned its lessons, where they are enough to teach anything; equal seeds, equal judges.

    Raises UserError if it diverges.
    """
    torch.manual_seed(seed)
    judge = Judge(name, shape, options.width, len(classes.objects), len(classes.categories), words)
    judge.lessons = len(lessons)
    if not judge.blind:
        teach(judge, lessons, options, torch.Generator().manual_seed(seed))
    judge.eval().requires_grad_(False)
    if not all(torch.isfinite(weight).all() for weight in judge.parameters()):
        raise UserError(f"judge {name}: its weights are no numbers any more; lower judge.lr, {options.lr:g} now")
    return judge


def marks_of(judge: Judge, frames: Frames, prompts: Sequence[Prompt]) -> dict[str, float | None]:
    """The share of clips whose object and category a judge names right, among those that it can know."""
    marks: dict[str, float | None] = {"object": None, "category": None}
    if not prompts or judge.blind:
        return marks  # no clip to be asked about, or nobody to ask
    features, _ = judge.describe_all(frames)
    with torch.inference_mode():
        answers = {"object": judge.objects(features).argmax(1), "category": judge.categories(features).argmax(1)}
    for kind, answer in answers.items():
        wanted = torch.tensor([getattr(prompt, kind) for prompt in prompts])
        known = wanted >= 0
        if known.any():
            marks[kind] = round(float((answer == wanted)[known].float().mean()), 4)
    return marks


def teach(judge: Judge, lessons: Lessons, options: JudgeParams, generator: torch.Generator) -> None:
    """Train in place; `generator` is all its randomness."""
    optimizer = torch.optim.AdamW(judge.parameters(), lr=options.lr, weight_decay=0.05)
    judge.train()
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = options.lr * (1 - step / options.steps)
        rows = torch.randint(len(lessons), (options.batch_clips,), generator=generator)
        loss = _loss(judge, lessons, rows, generator)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _loss(judge: Judge, lessons: Lessons, rows: Tensor, generator: torch.Generator) -> Tensor:
    flips = lessons.flippable[rows] & (torch.rand(len(rows), generator=generator) < 0.5)
    frames = vary(to_training(lessons.frames[rows]), flips, generator)
    features, _ = judge.describe(frames)
    categories = torch.where(flips, lessons.twin_categories[rows], lessons.categories[rows])
    spoken = torch.where(flips[:, None], lessons.twin_ids[rows], lessons.token_ids[rows])
    meanings = torch.where(flips, lessons.twin_meanings[rows], lessons.meanings[rows])
    objects = _cross_entropy(judge.objects(features), lessons.objects[rows])
    kinds = _cross_entropy(judge.categories(features), categories)
    return objects + kinds + _contrast(judge, features, spoken, meanings)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    known = labels >= 0
    summed = F.cross_entropy(logits[known], labels[known], label_smoothing=SMOOTHING, reduction="sum")
    return summed / known.sum().clamp(min=1)


def _contrast(judge: Judge, features: Tensor, token_ids: Tensor, meanings: Tensor) -> Tensor:
    """Each clip finds its caption and each caption its clip among the batch; equal meanings are all right answers."""
    cosines = judge.clip_vectors(features) @ judge.caption_vectors(token_ids).T * judge.sharpness.exp()
    right = (meanings[:, None] == meanings).float()
    right = right / right.sum(dim=1, keepdim=True)
    return (F.cross_entropy(cosines, right) + F.cross_entropy(cosines.T, right)) / 2


def vary(frames: Tensor, flips: Tensor, generator: torch.Generator) -> Tensor:
    """Clips [B,3,T,H,W] flipped where `flips` says so, and shifted, brightened and grained, each clip as a whole."""
    count, _, _, height, width = frames.shape
    frames = torch.where(flips[:, None, None, None, None], frames.flip(4), frames)
    reach = height // SHIFT, width // SHIFT
    down, right = (int(torch.randint(2 * side + 1, (1,), generator=generator)) for side in reach)
    padded = F.pad(frames, (reach[1], reach[1], reach[0], reach[0], 0, 0), mode="replicate")
    frames = padded[..., down : down + height, right : right + width]
    gain, offset = torch.randn(2, count, 1, 1, 1, 1, generator=generator)
    grain = torch.randn(frames.shape, generator=generator)
    frames = frames * (1 + 0.2 * gain) + 0.1 * offset + 0.08 * grain
    return frames.contiguous(memory_format=torch.channels_last_3d)
