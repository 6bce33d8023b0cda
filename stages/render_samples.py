"""Stage `render`: the averaged generator -> grid.png, grid.gif, grid.mp4: samples beside real clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.sampler import draw_noise
from pipeline.errors import UserError, run
from pipeline.inference import DESCRIPTION, Model, sample
from pipeline.params import RenderParams, load_params
from pipeline.records import VECTORS, Caption, Clip, Frames
from pipeline.rendering.export import export_samples
from pipeline.rendering.grid import Block, Row, Window
from pipeline.rendering.roles import Role, choose_hosts, choose_roles, row_title
from pipeline.shards import ShardReader
from pipeline.tables import read_table
from pipeline.text.embeddings import extend_vocabulary, read_embeddings
from pipeline.text.neighbours import Neighbour, SeenObjects, replace_object, tokenize_name
from pipeline.text.vocabulary import Vocabulary, parse_vocabulary

ENDINGS = ("png", "gif", "mp4")


@dataclass(frozen=True, slots=True)
class Scene:
    """One row of the grid before it is rendered: what stands under each window, and what it shows."""

    title: str
    generated: list[tuple[str, Caption]]
    real: list[tuple[str, str]]  # ids of clips; may be empty


def render_samples(labels: Path, clips: Path, captions: Path, model: Path, out: Path, options: RenderParams) -> None:
    """Render every chosen caption once per seed; all captions of a seed share their noise."""
    shards, generator = ShardReader(clips), Model(model)
    texts = {caption.id: caption for caption in read_table(captions, Caption)}
    row_of = {clip_id: row for row, clip_id in enumerate(shards.ids) if clip_id in texts}
    shown = [clip for clip in read_table(labels, Clip) if clip.id in row_of]
    if not shown:
        raise UserError(f"{labels}: none of its clips has frames in {clips} and a caption in {captions}")
    scenes = _plan(shown, texts, generator, model, options)
    rows = []
    for scene in scenes:
        names, ids = zip(*((name, generator.condition(caption)) for name, caption in scene.generated), strict=True)
        blocks = []
        for seed in options.seeds:
            z = draw_noise(seed, 1, generator.generator.z_width).expand(len(ids), -1)
            blocks.append(_block(f"generated, seed {seed}", names, sample(generator, ids, z)))
        if scene.real:
            names, real = zip(*scene.real, strict=True)
            blocks.append(_block("real", names, shards.frames([row_of[clip_id] for clip_id in real])))
        rows.append(Row(scene.title, blocks))
    said = [[caption.text for _, caption in scene.generated] for scene in scenes]
    provenance = {**generator.provenance(), "seeds": options.seeds, "captions": said}
    for ending in ENDINGS:
        export_samples(rows, out / f"grid.{ending}", scale=options.scale, fps=options.fps, provenance=provenance)


def _plan(
    shown: Sequence[Clip], texts: Mapping[str, Caption], generator: Model, folder: Path, options: RenderParams
) -> list[Scene]:
    """A row for each category, then one for each new word in each category."""
    vocabulary = parse_vocabulary(generator.description["vocabulary"], folder / DESCRIPTION)
    embeddings = read_embeddings(folder / VECTORS)
    cast = choose_roles(shown, texts.keys(), options.objects)
    if embeddings is None:
        if options.new_words:
            raise UserError(
                f"{folder / VECTORS}: no such file, but render.new_words needs vectors of words that training never "
                "shows; set tokenize.embeddings.source and `dvc repro`"
            )
        return [_scene(roles, texts, {}) for roles in cast]
    seen = SeenObjects(
        (name for clip in shown if clip.split == "train" for name in clip.objects), vocabulary, embeddings
    )
    new = {name for roles in cast for role in roles for name in role.new}
    likeness = {name: f"{name} -> {near}" for name in new if (near := seen.find_nearest(name))}
    neighbours = {word: seen.require_nearest(word) for word in options.new_words}
    vocabulary, vectors = extend_vocabulary(
        (part for word in neighbours for part in tokenize_name(word, vocabulary)), vocabulary, embeddings
    )
    generator.add_words(vectors)
    trials = [scene for word, near in neighbours.items() for scene in _try(word, near, shown, texts, vocabulary)]
    return [*(_scene(roles, texts, likeness) for roles in cast), *trials]


def _scene(roles: Sequence[Role], texts: Mapping[str, Caption], likeness: Mapping[str, str]) -> Scene:
    generated = [(role.label, texts[role.clip]) for role in roles]
    return Scene(row_title(roles, likeness), generated, [(role.label, role.clip) for role in roles])


def _try(
    word: str, near: Neighbour, shown: Sequence[Clip], texts: Mapping[str, Caption], vocabulary: Vocabulary
) -> list[Scene]:
    """A new word and its neighbour in place of the first object of a caption of each category."""
    hosts = choose_hosts([clip for clip in shown if 1 in texts[clip.id].slots], near.name)
    if not hosts:
        raise UserError(f"render.new_words: no caption names an object that {word!r} could stand in place of")
    scenes = []
    for host in hosts:
        generated = [(name, replace_object(texts[host.id], name, vocabulary)) for name in (word, near.name)]
        real = [(near.name, host.id)] if host.objects[:1] == (near.name,) else []
        scenes.append(Scene(f"{word} -> {near}: {host.template}", generated, real))
    return scenes


def _block(title: str, names: Sequence[str], clips: Frames) -> Block:
    return Block(title, [Window(name, frames) for name, frames in zip(names, clips, strict=True)])


def main(
    labels: Path = Path("data/labels"),
    clips: Path = Path("data/clips"),
    captions: Path = Path("data/captions"),
    model: Path = Path("data/model"),
    out: Path = Path("data/samples"),
) -> None:
    """Render the grid of samples and real clips."""
    options = load_params(Path("params.yaml")).render
    render_samples(labels / "clips.parquet", clips, captions / "captions.parquet", model, out, options)


if __name__ == "__main__":
    run(main)
