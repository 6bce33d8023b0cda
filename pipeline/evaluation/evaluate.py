"""Evaluates sets of clips: generated clips, real ones and controls share one code path.

Also selects clips for pictures: possible copies, the worst samples, opposite captions, and new words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from pipeline.data.dataset import DataFolders, Dataset, select_evenly
from pipeline.data.sampler import draw_noise, match_contents
from pipeline.errors import UserError
from pipeline.evaluation.clip_sets import (
    RealClipSets,
    build_new_words,
    build_opposites,
    generate_clips,
    interleave_words,
    plant_controls,
    read_real_clips,
    select_distinct,
)
from pipeline.evaluation.controls import REAL, SECOND_REAL, Check, check_controls, select_withdrawn
from pipeline.evaluation.intervals import Figure
from pipeline.evaluation.measured_clips import CaptionBank, ClipSet, Floats, MeasuredClips
from pipeline.evaluation.memorisation import GENERATED, SPACES, TRAINED, UNSEEN, CopySearch
from pipeline.evaluation.metric import Metric, Reference, measure_all
from pipeline.evaluation.metrics import CLIP_METRICS, select_metrics
from pipeline.files import digest_file
from pipeline.inference import Model, TrainedDiscriminator, sample
from pipeline.judges import WEIGHTS, Classes, Judge, Prompt, load_judge
from pipeline.models.flops import step_flops
from pipeline.params import EvaluateParams, SamplingParams
from pipeline.pretrained import PretrainedNetworks
from pipeline.records import Frames, Progress, no_progress

NEW, REAL_NEW = "model, words", "real words"
WORST_SAMPLES = 3  # shown per caption


@dataclass(frozen=True)
class Evaluation:
    """Figures by set and metric, the clips of each set, and the outcome of the controls."""

    metrics: Mapping[str, Metric]
    figures: dict[str, dict[str, Figure]]
    clips: dict[str, MeasuredClips]
    reference: Reference
    checks: list[Check]


@dataclass(frozen=True)
class EvaluationInputs:
    """The inputs of an evaluation of a generator."""

    dataset: Dataset
    model: Model
    discriminator: TrainedDiscriminator | None  # None with method flow
    judge: Judge
    classes: Classes
    judge_digest: str


@dataclass(frozen=True)
class GeneratorEvaluation:
    """An evaluation, the discriminator's logits by set of clips, and the protocol."""

    evaluation: Evaluation
    classes: Classes
    logits: dict[str, Floats]
    options: EvaluateParams
    protocol: dict[str, Any]
    provenance: dict[str, Any]  # for the pictures


def open_inputs(
    folders: DataFolders, model_folder: Path, judge_folder: Path, sampling: SamplingParams | None
) -> EvaluationInputs:
    """Open everything but clips. Raises UserError if model, judge and data differ in clip shape or vocabulary."""
    judge, classes, shape = load_judge(judge_folder)
    dataset, model = Dataset(folders), Model(model_folder, sampling)
    if dataset.shape != (shape.frames, shape.height, shape.width, 3) or model.shape != shape:
        raise UserError(f"{model_folder}, {judge_folder} and {folders.clips} have different shapes; run `dvc repro`")
    if list(dataset.vocabulary.words) != model.vocabulary or judge.words != len(dataset.vocabulary):
        raise UserError(
            f"{model_folder}, {judge_folder} and {folders.captions} have different vocabularies; run `dvc repro`"
        )
    digest = digest_file(judge_folder / WEIGHTS)
    discriminator = TrainedDiscriminator(model_folder, model) if model.flow is None else None
    return EvaluationInputs(dataset, model, discriminator, judge, classes, digest)


def evaluate_generator(
    inputs: EvaluationInputs, networks: PretrainedNetworks, options: EvaluateParams, progress: Progress = no_progress
) -> GeneratorEvaluation:
    """Measure the generator, real clips and controls."""
    dataset, model, classes = inputs.dataset, inputs.model, inputs.classes
    reals = read_real_clips(dataset, classes, options)
    words = build_new_words(dataset, classes, options)
    if len(words.vectors):
        model.add_words(words.vectors)
    reals = reals._replace(words=ClipSet(reals.words.frames, words.held_out))

    def draw(prompts: Sequence[Prompt], seed: int) -> Frames:
        z = draw_noise(seed, len(prompts), model.generator.z_width)
        return sample(model, [model.condition(prompt.caption) for prompt in prompts], z)

    # Words that the user asks for come first, so that they have samples even if there are more words than samples.
    new = interleave_words([*words.inserted, *words.held_out])
    opposites = build_opposites(dataset, classes, options)
    generated = generate_clips(draw, reals, new, opposites, options)
    evaluation = evaluate_sets(inputs.judge, reals, generated, options, networks, progress)
    protocol = {
        "judge": inputs.judge_digest,
        "clip": model.shape.model_dump(),
        **model.sampling(),
        **options.model_dump(),
        **{f"real_{name}": len(clips.prompts) for name, clips in reals._asdict().items()},
        "networks": {name: network.digest for name, network in networks.items()},
        "near_duplicates_of_train": evaluation.reference.copies.repeated,
        "withdrawn": sorted(select_withdrawn(evaluation.checks)),
        **_measure_cost(model),
    }
    provenance = {**model.provenance(), "judge": inputs.judge_digest, "evaluate": options.model_dump()}
    logits = _compute_logits(inputs, evaluation)
    return GeneratorEvaluation(evaluation, classes, logits, options, protocol, provenance)


def evaluate_sets(
    judge: Judge,
    reals: RealClipSets,
    given: dict[str, ClipSet],
    params: EvaluateParams,
    networks: PretrainedNetworks,
    progress: Progress = no_progress,
) -> Evaluation:
    """Measure the given sets of clips, real clips and controls."""
    metrics = select_metrics(params.metrics)
    known = (reals.test, reals.val, reals.train, reals.pairs)
    everyone = [prompt for clips in known for prompt in clips.prompts]
    bank = CaptionBank(select_distinct(everyone, len(everyone)), params.distractors)
    shown = {REAL: reals.test, SECOND_REAL: reals.val, "real pairs": reals.pairs, "real words": reals.words}
    sets = shown | given | plant_controls(reals, params.seed)
    clips = {name: MeasuredClips(some, judge, bank) for name, some in sets.items() if some.prompts}
    pool = clips[REAL].join(clips[SECOND_REAL]) if SECOND_REAL in clips else clips[REAL]
    equal = min(len(clips[name]) for name in (REAL, SECOND_REAL) if name in clips)
    reference = Reference(
        real=clips[REAL],
        pool=pool,
        copies=CopySearch(MeasuredClips(reals.train, judge, bank), pool, params.search),
        equal=equal,
        resamples=params.resamples,
        seed=params.seed,
        unavailable_reason=judge.unavailable_reason,
        networks=networks,
        pretrained_clips=min(equal, params.pretrained.clips),
        bank=bank,
    )
    with progress("figures", len(clips) * len(metrics)) as advance:
        figures = {name: measure_all(metrics, some, reference, name, advance) for name, some in clips.items()}
    requirements = {name: metric.requirements for name, metric in metrics.items()}
    checks = check_controls(figures, requirements, clips[REAL], params.distractors)
    available = {name for name, metric in metrics.items() if metric.network is None or metric.network in networks}
    return Evaluation(metrics, figures, clips, reference, [check for check in checks if check.metric in available])


def _compute_logits(inputs: EvaluationInputs, evaluation: Evaluation) -> dict[str, Floats]:
    """The discriminator's logits of training clips, of unseen ones and of samples; empty with method flow."""
    discriminator = inputs.discriminator
    if discriminator is None:
        return {}
    sets: dict[str, ClipSet | MeasuredClips] = {**select_scored(evaluation.reference)}
    names = (GENERATED, "model, pairs", "real pairs")
    sets |= {name: evaluation.clips[name] for name in names if name in evaluation.clips}
    condition = inputs.model.condition
    return {
        name: discriminator.compute_logits(clips.frames, [condition(prompt.caption) for prompt in clips.prompts])
        for name, clips in sets.items()
    }


def select_scored(reference: Reference) -> dict[str, ClipSet]:
    """Unseen clips, and as many training clips of the same contents, which logits depend on.

    Near-duplicates of training clips are not unseen.
    """
    train, pool, fresh = reference.copies.train, reference.pool, reference.copies.fresh.tolist()
    unseen = select_evenly(fresh, len(train))
    kinds = [[(prompt.meaning, prompt.category, None) for prompt in clips.prompts] for clips in (pool, train)]
    trained = match_contents([kinds[0][row] for row in unseen], kinds[1])
    return {
        name: ClipSet(clips.frames[rows], [clips.prompts[row] for row in rows])
        for name, clips, rows in ((TRAINED, train, trained), (UNSEEN, pool, unseen))
    }


def _measure_cost(model: Model) -> dict[str, float]:
    """The number of the generator's weights, and the floating-point operations per clip in billions."""
    generator = model.generator
    z, ids = torch.zeros(1, generator.z_width), torch.ones(1, model.max_tokens, dtype=torch.int64)
    with torch.no_grad():
        operations = step_flops(lambda: generator(z, ids))
    return {
        "generator_weights": sum(weight.numel() for weight in generator.parameters()),
        "gflop_per_clip": round(operations / 1e9, 4),
    }


class Strip(NamedTuple):
    """A row of a picture: a caption, and clips [T,H,W,3] by heading."""

    caption: str
    clips: dict[str, Frames]


def select_pictures(found: GeneratorEvaluation) -> dict[str, list[Strip]]:
    """The rows of each picture by its name; possibly empty."""
    count = found.options.pictures
    return {
        "nearest": select_nearest(found.evaluation, count),
        "worst": select_worst(found.evaluation, count, WORST_SAMPLES),
        "opposites": _select_opposites(found.evaluation, count),
        "words": _select_words(found.evaluation, count),
    }


def select_nearest(found: Evaluation, count: int) -> list[Strip]:
    """The samples nearest to a training clip in any space, nearest first, with the nearest clip of each space."""
    clips, copies = found.clips["model"], found.reference.copies
    near = {space: copies.find_nearest(clips, space).rows for space in SPACES}
    close = copies.measure_closeness(clips)
    suspicion = np.min(list(close.values()), axis=0)
    rows: dict[int, int] = {}  # meaning -> its most suspicious sample
    for row in np.argsort(suspicion, kind="stable").tolist():
        rows.setdefault(clips.prompts[row].meaning, row)
    return [
        Strip(
            clips.prompts[row].caption.text,
            {"generated": clips.frames[row]}
            | {
                f"{space}: {close[space][row]:.2f} of the limit": copies.train.frames[near[space][row]]
                for space in SPACES
            },
        )
        for row in list(rows.values())[:count]
    ]


def select_worst(found: Evaluation, count: int, samples: int) -> list[Strip]:
    """The captions with the lowest joint accuracy: some samples each, wrong ones first, and a real clip.

    Captions whose samples are all right are selected only if there are no others.
    """
    lines: list[tuple[float, int, Strip]] = []
    for name, real in (("model", REAL), ("model, pairs", "real pairs")):
        if name not in found.clips:
            continue
        clips, reals = found.clips[name], found.clips[real]
        right = CLIP_METRICS["joint_accuracy"].values(clips, found.reference)
        examples = reals.group_by_meaning()
        for meaning, rows in clips.group_by_meaning().items():
            if np.isnan(right[rows[0]]):
                continue  # the judge does not know the class
            first = sorted(rows, key=lambda row: float(right[row]))[:samples]
            shown = {
                f"generated {index}, {'right' if right[row] else 'wrong'}": clips.frames[row]
                for index, row in enumerate(first, 1)
            }
            shown["real"] = reals.frames[examples[meaning][0]]
            caption = f"{clips.prompts[rows[0]].caption.text}: {right[rows].sum():.0f} of {len(rows)} right"
            lines.append((float(right[rows].mean()), len(lines), Strip(caption, shown)))
    wrong = [line for line in lines if line[0] < 1] or lines
    return [shown for _, _, shown in sorted(wrong, key=lambda line: line[:2])[:count]]


def _select_opposites(found: Evaluation, count: int) -> list[Strip]:
    """A sample of each caption that has an opposite, and the sample of the opposite with the same noise."""
    if "model, turned from" not in found.clips:
        return []
    before, after = found.clips["model, turned from"], found.clips["model, turned to"]
    first = [int(rows[0]) for rows in before.group_by_meaning().values()]
    return [
        Strip(
            before.prompts[row].caption.text,
            {"generated": before.frames[row], after.prompts[row].caption.text: after.frames[row]},
        )
        for row in sorted(first)[:count]
    ]


def _select_words(found: Evaluation, count: int) -> list[Strip]:
    """A sample of each new word, nearest to a seen one first, with real clips of both if there are any."""
    if NEW not in found.clips:
        return []
    clips, train, reals = found.clips[NEW], found.reference.copies.train, found.clips.get(REAL_NEW)
    examples = {prompt.object: row for row, prompt in reversed([*enumerate(train.prompts)])}
    own = {} if reals is None else {prompt.caption.text: row for row, prompt in enumerate(reals.prompts)}
    first: dict[str, int] = {}
    for row, prompt in enumerate(clips.prompts):
        if prompt.new is not None:
            first.setdefault(prompt.new.name, row)
    strips = []
    for row in sorted(first.values(), key=lambda row: -_measure_nearness(clips.prompts[row]))[:count]:
        prompt = clips.prompts[row]
        shown = {"generated": clips.frames[row]}
        if reals is not None and prompt.caption.text in own:
            shown["real"] = reals.frames[own[prompt.caption.text]]
        if prompt.new is not None and prompt.object >= 0 and prompt.object in examples:
            shown[f"real {prompt.new.near}, the nearest seen"] = train.frames[examples[prompt.object]]
        strips.append(Strip(prompt.caption.text, shown))
    return strips


def _measure_nearness(prompt: Prompt) -> float:
    return prompt.new.cosine if prompt.new else -1.0
