"""Stage `render`: the averaged generator -> grid.png, grid.gif, grid.mp4: samples beside real clips."""

from pathlib import Path

from pipeline.errors import UserError, run
from pipeline.params import RenderParams, load_params
from pipeline.records import Caption, Clip, Frames
from pipeline.rendering.cast import Role, choose_roles, row_title
from pipeline.rendering.export import export_samples
from pipeline.rendering.grid import Block, Row, Window
from pipeline.shards import ShardReader
from pipeline.tables import read_table
from pipeline.training.export import Model
from pipeline.training.sampling import sample
from pipeline.training.seeds import noise

ENDINGS = ("png", "gif", "mp4")


def render_samples(labels: Path, clips: Path, captions: Path, model: Path, out: Path, options: RenderParams) -> None:
    """Render every chosen caption once per seed; all captions of a seed share their noise."""
    shards, generator = ShardReader(clips), Model(model)
    token_ids = {caption.id: generator.condition(caption) for caption in read_table(captions, Caption)}
    row_of = {clip_id: row for row, clip_id in enumerate(shards.ids) if clip_id in token_ids}
    cast = choose_roles(read_table(labels, Clip), row_of.keys(), options.objects)
    if not cast:
        raise UserError(f"{labels}: none of its clips has frames in {clips} and a caption in {captions}")
    rows = []
    for roles in cast:
        ids = [token_ids[role.clip] for role in roles]
        blocks = []
        for seed in options.seeds:
            z = noise(seed, 1, generator.generator.z_width).expand(len(ids), -1)
            blocks.append(_block(f"generated, seed {seed}", roles, sample(generator, ids, z)))
        blocks.append(_block("real", roles, shards.frames([row_of[role.clip] for role in roles])))
        rows.append(Row(row_title(roles), blocks))
    provenance = {**generator.provenance(), "seeds": options.seeds, "captions": [[r.caption for r in c] for c in cast]}
    for ending in ENDINGS:
        export_samples(rows, out / f"grid.{ending}", scale=options.scale, fps=options.fps, provenance=provenance)


def _block(title: str, roles: list[Role], clips: Frames) -> Block:
    return Block(title, [Window(role.label, frames) for role, frames in zip(roles, clips, strict=True)])


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
