"""Stage `evaluate`: generator + judge + real clips -> metrics.json, tables, controls and pictures of the worst."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.data.dataset import DataFolders, Dataset
from pipeline.data.sampler import draw_noise
from pipeline.directions import find_motion, opposite
from pipeline.errors import UserError, run
from pipeline.evaluation.clip_sets import Reals, as_neighbours, hosts_of, in_place, reals_of
from pipeline.evaluation.control_checks import withdrawn
from pipeline.evaluation.controls import Clips
from pipeline.evaluation.discriminator_gap import MADE, TRAINED, UNSEEN, Critic, gap_figures, logit_figures
from pipeline.evaluation.evaluate import Assessment, assess, cost_of
from pipeline.evaluation.examples import Shown, nearest, worst
from pipeline.evaluation.pretrained_metrics import open_networks
from pipeline.evaluation.report import headline, summary, write_account, write_logits, write_metrics
from pipeline.evaluation.views import Floats
from pipeline.files import digest_file, write_json
from pipeline.inference import Model, sample
from pipeline.judges.classes import Classes, Prompt
from pipeline.judges.networks import WEIGHTS, load_judge
from pipeline.params import EvaluateParams, load_params
from pipeline.pretrained import Networks
from pipeline.records import VECTORS, Clip, Frames, Split, slugify
from pipeline.rendering.export import export_samples
from pipeline.rendering.grid import Block, Row, Window
from pipeline.text.embeddings import extend_vocabulary, read_embeddings
from pipeline.text.neighbours import SeenObjects, tokenize_name
from pipeline.text.parsing import encode
from pipeline.text.vocabulary import Vocabulary, read_vocabulary

WORST_SAMPLES, SCALE = 3, 2  # of a picture


@dataclass(frozen=True)
class Places:
    """The folders that the stage reads."""

    labels: Path
    clips: Path
    captions: Path
    model: Path
    judge: Path


def evaluate_model(places: Places, out: Path, metrics: Path, options: EvaluateParams, networks: Networks) -> None:
    """Measure the generator beside real clips and planted controls; the same code path for all of them."""
    judge, classes, shape = load_judge(places.judge)
    dataset, model = Dataset(DataFolders(places.labels, places.clips, places.captions)), Model(places.model)
    vocabulary = read_vocabulary(places.captions / "vocabulary.json")
    if dataset.shape != (shape.frames, shape.height, shape.width, 3) or model.shape != shape:
        raise UserError(f"{places.model}, {places.judge} and {places.clips} are of different shapes; `dvc repro`")
    if list(vocabulary.words) != model.vocabulary or judge.words != len(vocabulary):
        raise UserError(f"{places.model}, {places.judge} and {places.captions} know other words; `dvc repro`")
    reals = reals_of(dataset, classes, options)
    held_out, put = _newcomers(dataset, reals, classes, vocabulary, model, places.captions / VECTORS, options)
    reals = reals._replace(words=Clips(reals.words.frames, held_out))

    def draw(prompts: Sequence[Prompt], seed: int) -> Frames:
        z = draw_noise(seed, len(prompts), model.generator.z_width)
        return sample(model, [model.condition(prompt.caption) for prompt in prompts], z)

    tested = dataset.clips(dataset.rows("test", options.real_clips))
    opposites = {clip.caption: turned for clip in tested if (turned := _opposite(clip, classes, vocabulary))}
    found = assess(judge, reals, draw, [*held_out, *put], opposites, options, networks)
    logits = _logits(Critic(places.model, model), found)
    told = headline(found) | gap_figures(logits, options.resamples, options.seed)
    write_account(out, found, told, classes)
    write_logits(out / "logits.csv", logit_figures(logits, options.resamples, options.seed))
    judge_digest = digest_file(places.judge / WEIGHTS)
    protocol = {"judge": judge_digest, "clip": shape.model_dump(), **options.model_dump(), **_counts(reals)}
    protocol["networks"] = {name: network.digest for name, network in networks.items()}
    protocol |= {"withdrawn": sorted(withdrawn(found.checks)), **cost_of(model)}
    write_json(out / "protocol.json", protocol)
    provenance = {**model.provenance(), "judge": judge_digest, "evaluate": options.model_dump()}
    for name, lines in (
        ("nearest", nearest(found, options.pictures)),
        ("worst", worst(found, options.pictures, WORST_SAMPLES)),
    ):
        if lines:
            export_samples(_rows(lines), out / f"{name}.png", scale=SCALE, fps=1, provenance=provenance)
    write_metrics(metrics, told, withdrawn=len(withdrawn(found.checks)))
    for line in summary(told, found.checks):
        print(line)


def _newcomers(
    dataset: Dataset,
    reals: Reals,
    classes: Classes,
    vocabulary: Vocabulary,
    model: Model,
    vectors: Path,
    options: EvaluateParams,
) -> tuple[list[Prompt], list[Prompt]]:
    """What is asked of the generator with objects that it was never shown: held-out ones, and words put in place."""
    embeddings = read_embeddings(vectors)
    if embeddings is None:
        if options.new_words:
            raise UserError(f"{vectors}: no such file, but evaluate.new_words needs it; see tokenize.embeddings.source")
        return list(reals.words.prompts), []
    seen = SeenObjects(_first_objects(dataset, "train", options.train_clips), vocabulary, embeddings)
    held_out = as_neighbours(
        reals.words.prompts, _first_objects(dataset, "test_words", options.real_clips), seen, classes
    )
    parts = (part for word in options.new_words for part in tokenize_name(word, vocabulary))
    larger, added = extend_vocabulary(parts, vocabulary, embeddings)
    model.add_words(added)
    hosts = hosts_of(dataset.clips(dataset.rows("test", options.real_clips)), dataset.captions)
    return held_out, in_place(options.new_words, hosts, seen, larger, classes)


def _first_objects(dataset: Dataset, split: Split, most: int) -> list[str]:
    return [clip.objects[0] if clip.objects else "" for clip in dataset.clips(dataset.rows(split, most))]


def _logits(critic: Critic, found: Assessment) -> dict[str, Floats]:
    """How real the discriminator takes the clips for that it trained on, others, and the generator's."""
    sets = {TRAINED: found.yardstick.copies.train, UNSEEN: found.yardstick.pool}
    sets |= {name: found.views[name] for name in (MADE, "model, pairs", "real pairs") if name in found.views}
    return {name: critic.logits(Clips(views.frames, views.prompts)) for name, views in sets.items()}


def _opposite(clip: Clip, classes: Classes, vocabulary: Vocabulary) -> Prompt | None:
    """The clip's caption with its direction turned round, None where that is not right or means no other motion."""
    caption, template = opposite(clip.caption), opposite(clip.template)
    if caption is None or find_motion(caption) is None:
        return None
    turned = replace(clip, caption=caption, category=slugify(template) if template else clip.category)
    return classes.build_prompt(turned, encode(caption, vocabulary, len(caption)).caption)


def _counts(reals: Reals) -> dict[str, int]:
    return {f"real_{name}": len(prompts) for name, (_, prompts) in reals._asdict().items()}


def _rows(lines: Sequence[Shown]) -> list[Row]:
    return [
        Row(line.caption, [Block(heading, [Window("", frames)]) for heading, frames in line.clips.items()])
        for line in lines
    ]


def main(
    labels: Path = Path("data/labels"),
    clips: Path = Path("data/clips"),
    captions: Path = Path("data/captions"),
    model: Path = Path("data/model"),
    judge: Path = Path("data/judge"),
    weights: Path = Path("data/weights"),
    out: Path = Path("data/evaluation"),
    metrics: Path = Path("metrics.json"),
) -> None:
    """Evaluate the averaged generator on the splits that neither it nor the judge was trained on."""
    params = load_params()
    networks = open_networks(weights, params.devices)
    evaluate_model(Places(labels, clips, captions, model, judge), out, metrics, params.evaluate, networks)


if __name__ == "__main__":
    run(main)
