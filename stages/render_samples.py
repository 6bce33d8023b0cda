"""Stage `render`: the averaged generator -> samples next to real clips: grid.png, grid.gif, grid.mp4, grid.npz."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.data.dataset import DataFolders, Dataset
from pipeline.data.sampler import draw_noise
from pipeline.errors import UserError, run
from pipeline.inference import Model, sample
from pipeline.params import RenderParams, SamplingParams, load_params
from pipeline.records import DESCRIPTION, VECTORS, Caption, Frames
from pipeline.rendering.export import export_samples
from pipeline.rendering.samples import plan_grid, render_rows
from pipeline.source_code import describe_maker
from pipeline.text.embeddings import read_embeddings
from pipeline.text.vocabulary import parse_vocabulary

FORMATS = ("png", "gif", "mp4", "npz")
MADE_BY = "stages.render_samples"


def render_samples(
    folders: DataFolders, model_folder: Path, out: Path, options: RenderParams, sampling: SamplingParams | None = None
) -> None:
    """Render each selected caption once per seed; all captions of a seed share their noise."""
    dataset, model = Dataset(folders), Model(model_folder, sampling)
    clips = list({clip.id: clip for clip in dataset.clips()}.values())
    if not clips:
        raise UserError(f"{folders.labels}: none of its clips has frames in {folders.clips} and a caption")
    vocabulary = parse_vocabulary(model.description["vocabulary"], model_folder / DESCRIPTION)
    embeddings = read_embeddings(model_folder / VECTORS)
    if embeddings is None and options.new_words:
        raise UserError(
            f"{model_folder / VECTORS}: no such file, but render.new_words needs vectors of words that training never "
            "shows; set tokenize.embeddings.source and run `dvc repro`"
        )

    def draw(captions: Sequence[Caption], seed: int) -> Frames:
        z = draw_noise(seed, 1, model.generator.z_width).expand(len(captions), -1)
        return sample(model, [model.condition(caption) for caption in captions], z)

    def read_frames(ids: Sequence[str]) -> Frames:
        return dataset.frames(dataset.find_rows(ids))

    plan = plan_grid(clips, dataset.captions, vocabulary, embeddings, options.objects, options.new_words)
    if plan.vectors is not None:
        model.add_words(plan.vectors)
    rows = render_rows(plan, options.seeds, draw, read_frames)
    texts = [[caption.text for _, caption in row.generated] for row in plan.rows]
    provenance = {
        **model.provenance(),
        **describe_maker(MADE_BY),
        "data": folders.digest(),
        "render": options.model_dump(),
        "seeds": options.seeds,
        "captions": texts,
    }
    for ending in FORMATS:
        export_samples(rows, out / f"grid.{ending}", scale=options.scale, fps=options.fps, provenance=provenance)


def main(
    labels: Path = Path("data/labels"),
    clips: Path = Path("data/clips"),
    captions: Path = Path("data/captions"),
    model: Path = Path("data/model"),
    out: Path = Path("data/samples"),
) -> None:
    """Render the grid of samples and real clips."""
    params = load_params(Path("params.yaml"))
    render_samples(DataFolders(labels, clips, captions), model, out, params.render, params.sampling)
    print(f"render: samples next to real clips, {len(params.render.seeds)} of each caption; look at {out}/grid.gif")


if __name__ == "__main__":
    run(main)
