"""Stage `evaluate`: generator + judges + real clips -> metrics.json, tables, controls and pictures of the worst."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.corpus.categories import slug_of
from pipeline.directions import motion_of, opposite
from pipeline.errors import UserError, run
from pipeline.evaluation.account import write_account, write_metrics
from pipeline.evaluation.assess import REPORTED_BY, assess
from pipeline.evaluation.classes import Classes
from pipeline.evaluation.headline import headline, summary
from pipeline.evaluation.keeping import load_judges
from pipeline.evaluation.material import Material
from pipeline.evaluation.pictures import Shown, nearest, worst
from pipeline.evaluation.subjects import Reals, reals_of
from pipeline.evaluation.verdict import withdrawn
from pipeline.evaluation.views import Prompt
from pipeline.files import write_json
from pipeline.params import EvaluateParams, load_params
from pipeline.records import VECTORS, Clip, Frames, Split
from pipeline.rendering.export import export_samples
from pipeline.rendering.grid import Block, Row, Window
from pipeline.text.embeddings import read_embeddings
from pipeline.text.encode import encode
from pipeline.text.trials import SeenObjects
from pipeline.text.vocabulary import Vocabulary, read_vocabulary
from pipeline.training.export import Model
from pipeline.training.sampling import sample
from pipeline.training.seeds import noise

WORST_SAMPLES, SCALE = 3, 2  # of a picture


@dataclass(frozen=True)
class Places:
    """The folders that the stage reads."""

    labels: Path
    clips: Path
    captions: Path
    model: Path
    judge: Path


def evaluate_model(places: Places, out: Path, metrics: Path, options: EvaluateParams) -> None:
    """Measure the generator beside real clips and planted controls; the same code path for all of them."""
    judges, classes, shape = load_judges(places.judge)
    material, model = Material(places.labels, places.clips, places.captions), Model(places.model)
    vocabulary = read_vocabulary(places.captions / "vocabulary.json")
    if material.shards.shape != (shape.frames, shape.height, shape.width, 3) or model.shape != shape:
        raise UserError(f"{places.model}, {places.judge} and {places.clips} are of different shapes; `dvc repro`")
    if list(vocabulary.words) != model.vocabulary or any(judge.words != len(vocabulary) for judge in judges.values()):
        raise UserError(f"{places.model}, {places.judge} and {places.captions} know other words; `dvc repro`")
    reals = reals_of(material, classes, options)
    embeddings = read_embeddings(places.captions / VECTORS)
    if embeddings:
        seen = SeenObjects(_first_objects(material, "train", options.train_clips), vocabulary, embeddings)
        new = _first_objects(material, "test_words", options.real_clips)
        words = [_as_neighbour(*pair, seen, classes) for pair in zip(reals.words.prompts, new, strict=True)]
        reals = reals._replace(words=reals.words._replace(prompts=words))

    def draw(prompts: Sequence[Prompt], seed: int) -> Frames:
        z = noise(seed, len(prompts), model.generator.z_width)
        return sample(model, [model.condition(prompt.caption) for prompt in prompts], z)

    tested = material.clips(material.rows("test", options.real_clips))
    opposites = {clip.caption: turned for clip in tested if (turned := _opposite(clip, classes, vocabulary))}
    found = assess(judges[REPORTED_BY], reals, draw, opposites, options)
    told = headline(found)
    write_account(out, found, told, classes)
    protocol = {"judge": REPORTED_BY, "clip": shape.model_dump(), **options.model_dump(), **_counts(reals)}
    write_json(out / "protocol.json", protocol | {"withdrawn": sorted(withdrawn(found.checks))})
    provenance = {**model.provenance(), "judge": REPORTED_BY, "evaluate": options.model_dump()}
    for name, lines in (
        ("nearest", nearest(found, options.pictures)),
        ("worst", worst(found, options.pictures, WORST_SAMPLES)),
    ):
        if lines:
            export_samples(_rows(lines), out / f"{name}.png", scale=SCALE, fps=1, provenance=provenance)
    write_metrics(metrics, told, withdrawn=len(withdrawn(found.checks)))
    for line in summary(told, found.checks):
        print(line)


def _first_objects(material: Material, split: Split, most: int) -> list[str]:
    return [clip.objects[0] if clip.objects else "" for clip in material.clips(material.rows(split, most))]


def _as_neighbour(prompt: Prompt, name: str, seen: SeenObjects, classes: Classes) -> Prompt:
    """A held-out object should look like the nearest seen one: the judge has never been shown it, either."""
    near = seen.nearest_to(name)
    return replace(prompt, object=classes.object_number(near.name if near else ""))


def _opposite(clip: Clip, classes: Classes, vocabulary: Vocabulary) -> Prompt | None:
    """The clip's caption with its direction turned round, None where that is not right or means no other motion."""
    caption, template = opposite(clip.caption), opposite(clip.template)
    if caption is None or motion_of(caption) is None:
        return None
    turned = replace(clip, caption=caption, category=slug_of(template) if template else clip.category)
    return classes.prompt(turned, encode(caption, vocabulary, len(caption)).caption)


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
    out: Path = Path("data/evaluation"),
    metrics: Path = Path("metrics.json"),
) -> None:
    """Evaluate the averaged generator on the splits that neither it nor the judges have met."""
    evaluate_model(Places(labels, clips, captions, model, judge), out, metrics, load_params().evaluate)


if __name__ == "__main__":
    run(main)
