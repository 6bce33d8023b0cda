"""Evaluates sets of clips: one code path for generated clips, real ones and controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.data.dataset import DataFolders, Dataset
from pipeline.data.sampler import draw_noise
from pipeline.errors import UserError
from pipeline.evaluation.clip_sets import (
    RealClips,
    build_new_words,
    build_opposites,
    generate_clips,
    plant_controls,
    read_real_clips,
    select_distinct,
)
from pipeline.evaluation.controls import REAL, SECOND_REAL, Check, check_controls, select_withdrawn
from pipeline.evaluation.intervals import Figure
from pipeline.evaluation.measured_clips import CaptionBank, ClipSet, Floats, MeasuredClips
from pipeline.evaluation.memorisation import GENERATED, TRAINED, UNSEEN, CopySearch
from pipeline.evaluation.metric import Metric, Reference, measure_all
from pipeline.evaluation.metrics import select_metrics
from pipeline.files import digest_file
from pipeline.inference import Model, TrainedDiscriminator, sample
from pipeline.judges.classes import Classes, Prompt
from pipeline.judges.networks import WEIGHTS, Judge, load_judge
from pipeline.models.flops import step_flops
from pipeline.params import EvaluateParams, SamplingParams
from pipeline.pretrained import Networks
from pipeline.records import Frames, Progress, silent


@dataclass(frozen=True)
class Evaluation:
    """Figures by set and metric, the clips of each set, and the outcome of the controls."""

    metrics: Mapping[str, Metric]
    figures: dict[str, dict[str, Figure]]
    clips: dict[str, MeasuredClips]
    reference: Reference
    checks: list[Check]


@dataclass(frozen=True)
class Inputs:
    """What an evaluation of a generator reads."""

    dataset: Dataset
    model: Model
    discriminator: TrainedDiscriminator | None  # None of a generator that was trained without one
    judge: Judge
    classes: Classes
    judge_digest: str


@dataclass(frozen=True)
class GeneratorEvaluation:
    """The evaluation, the logits that the discriminator gave to sets of clips, and how all of it was done."""

    evaluation: Evaluation
    classes: Classes
    logits: dict[str, Floats]
    options: EvaluateParams
    protocol: dict[str, Any]
    provenance: dict[str, Any]  # of pictures


def open_inputs(
    folders: DataFolders, model_folder: Path, judge_folder: Path, sampling: SamplingParams | None
) -> Inputs:
    """Read everything but clips. Raises UserError where the model, the judge and the data do not fit each other."""
    judge, classes, shape = load_judge(judge_folder)
    dataset, model = Dataset(folders), Model(model_folder, sampling)
    if dataset.shape != (shape.frames, shape.height, shape.width, 3) or model.shape != shape:
        raise UserError(f"{model_folder}, {judge_folder} and {folders.clips} have different shapes; run `dvc repro`")
    if list(dataset.vocabulary.words) != model.vocabulary or judge.words != len(dataset.vocabulary):
        raise UserError(f"{model_folder}, {judge_folder} and {folders.captions} have other words; run `dvc repro`")
    digest = digest_file(judge_folder / WEIGHTS)
    discriminator = TrainedDiscriminator(model_folder, model) if model.flow is None else None
    return Inputs(dataset, model, discriminator, judge, classes, digest)


def evaluate_generator(
    inputs: Inputs, networks: Networks, options: EvaluateParams, progress: Progress = silent
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

    new, opposites = [*words.held_out, *words.inserted], build_opposites(dataset, classes, options)
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
        **measure_cost(model),
    }
    provenance = {**model.provenance(), "judge": inputs.judge_digest, "evaluate": options.model_dump()}
    logits = _compute_logits(inputs, evaluation)
    return GeneratorEvaluation(evaluation, classes, logits, options, protocol, provenance)


def evaluate_sets(
    judge: Judge,
    reals: RealClips,
    given: dict[str, ClipSet],
    params: EvaluateParams,
    networks: Networks,
    progress: Progress = silent,
) -> Evaluation:
    """Measure the given sets of clips, whoever made them, real clips and controls."""
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
    demands = {name: metric.rules for name, metric in metrics.items()}
    checks = check_controls(figures, demands, clips[REAL], params.distractors)
    available = {name for name, metric in metrics.items() if metric.network is None or metric.network in networks}
    return Evaluation(metrics, figures, clips, reference, [check for check in checks if check.metric in available])


def _compute_logits(inputs: Inputs, evaluation: Evaluation) -> dict[str, Floats]:
    """The discriminator's logits of clips that it was trained on, of unseen ones, and of samples; none of flow."""
    discriminator = inputs.discriminator
    if discriminator is None:
        return {}
    sets = {TRAINED: evaluation.reference.copies.train, UNSEEN: evaluation.reference.pool}
    names = (GENERATED, "model, pairs", "real pairs")
    sets |= {name: evaluation.clips[name] for name in names if name in evaluation.clips}
    condition = inputs.model.condition
    return {
        name: discriminator.compute_logits(clips.frames, [condition(prompt.caption) for prompt in clips.prompts])
        for name, clips in sets.items()
    }


def measure_cost(model: Model) -> dict[str, float]:
    """The number of the generator's weights, and the billions of floating-point operations that one clip takes."""
    generator = model.generator
    z, ids = torch.zeros(1, generator.z_width), torch.ones(1, model.max_tokens, dtype=torch.int64)
    with torch.no_grad():
        operations = step_flops(lambda: generator(z, ids))
    return {
        "generator_weights": sum(weight.numel() for weight in generator.parameters()),
        "gflop_per_clip": round(operations / 1e9, 4),
    }
