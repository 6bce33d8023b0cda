"""The table and the image of bench/methods.json: python -m bench.methods_page toycar=../toycar.

The image shows samples of each method for the same captions, next to real clips with these captions. The table is
printed as Markdown, for docs/experiments/methods.md.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Annotated, Any, NamedTuple

import typer

from bench.methods import FIGURES, OF_VAL, STEPS, WORK, parse_methods
from bench.side_by_side import build_block
from pipeline.cli.recipe import load_recipe
from pipeline.data.dataset import DataFolders, Dataset, select_evenly
from pipeline.data.sampler import draw_noise
from pipeline.errors import run
from pipeline.files import read_json
from pipeline.inference import Model, sample
from pipeline.params import SamplingParams
from pipeline.records import Caption, Frames
from pipeline.rendering import Row
from pipeline.rendering.export import export_samples

COLUMNS = {
    "two_sample_frames": "frames",
    "two_sample_motion": "motion",
    "motion_distance": "motion distance",
    "motion_distance_by_category": "by category",
    "coverage": "coverage",
    "recall": "recall",
    "motion_direction": "motion direction",
    "category_accuracy": "category",
    "joint_accuracy": "joint",
    "pairs_joint_accuracy": "held-out pairs",
    "sharpness": "sharpness",
    "static_share": "static",
    "copy_rate": "copies",
}
NOISE_SEED = 4
BESIDE = 3  # methods per row of the image


def main(
    project: Annotated[str, typer.Argument(help="name=folder, as for bench.methods")],
    picture: Annotated[Path, typer.Option(help="image to write: .png (film strips) or .gif")],
    figures: Annotated[Path, typer.Option(help="file written by bench.methods")] = FIGURES,
    work: Annotated[Path, typer.Option(help="folder of the models of bench.methods")] = WORK,
    seed: Annotated[int, typer.Option(help="training seed of the models that are shown")] = 17,
    minutes: Annotated[float, typer.Option(help="CPU minutes that they were trained for")] = 30.0,
    categories: Annotated[int, typer.Option(min=1, help="number of categories")] = 3,
    each: Annotated[int, typer.Option(min=1, help="samples per category")] = 2,
) -> None:
    """Print the table of a project and write the image of samples."""
    name, _, folder = project.partition("=")
    cells = read_json(figures, "`python -m bench.methods` writes it")["cells"]
    print("\n".join(write_table({key: cell for key, cell in cells.items() if key.startswith(f"{name}/")})))
    data = Path(folder) / "data"
    dataset = Dataset(DataFolders(data / "labels", data / "clips", data / "captions"))
    shown = _choose_clips(dataset, categories, each)
    labels = [one.label for one in shown]
    blocks = [build_block("real", labels, dataset.frames([one.row for one in shown]))]
    for method, changes in parse_methods().items():
        made = work / name / f"{minutes:g}min" / method / "all" / str(seed) / "data" / "model"
        for steps in changes.get(STEPS, [None]) if made.exists() else []:
            sampling = load_recipe(changes["recipe"]).sampling.model_copy(update={"steps": steps}) if steps else None
            clips = _draw(made, sampling, [one.caption for one in shown])
            blocks.append(build_block(_name(method, steps), labels, clips))
    rows = [Row("", blocks[at : at + BESIDE]) for at in range(0, len(blocks), BESIDE)]
    export_samples(rows, picture, scale=2, fps=8, provenance={"methods": [one.title for one in blocks], "seed": seed})


def write_table(cells: dict[str, Any]) -> Iterator[str]:
    """Lines of Markdown, one per method and number of clips: means over seeds, with the range in brackets."""
    groups: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for key, cell in cells.items():
        _, minutes, method, clips, seed = key.split("/")
        steps = seed.partition("-")[2]
        groups[_name(method, steps), minutes.removesuffix("min"), clips].append(cell)
    present = [name for name in COLUMNS if any(name in cell for cell in cells.values())]
    yield "| method | CPU minutes | clips | seeds | shown | " + " | ".join(COLUMNS[name] for name in present) + " |"
    yield "|---|---|---|---|---|" + "---|" * len(present)
    first = next(iter(cells.values()), {})
    reals = [_show(first.get(name + OF_VAL, first.get(f"{name}_ceiling"))) for name in present]
    yield "| real clips of val | | | | | " + " | ".join(reals) + " |"
    for (method, minutes, clips), found in groups.items():
        values = [_show_all([cell[name] for cell in found if name in cell]) for name in present]
        shown = f"{mean(cell['clips_shown'] for cell in found):,.0f}"
        yield f"| {method} | {minutes} | {clips} | {len(found)} | {shown} | " + " | ".join(values) + " |"


def _name(method: str, steps: int | str | None) -> str:
    return f"{method}, steps: {steps}" if steps else method


def _show_all(values: Sequence[float]) -> str:
    if len(values) < 2:
        return _show(values[0] if values else None)
    return f"{_show(mean(values))} ({min(values):.2f} to {max(values):.2f})"


def _show(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


class Shown(NamedTuple):
    """A real clip whose caption is also sampled."""

    row: int
    label: str
    caption: Caption


def _choose_clips(dataset: Dataset, categories: int, each: int) -> list[Shown]:
    """Training clips of some categories, `each` per category, evenly spread."""
    of_category: dict[str, list[int]] = defaultdict(list)
    rows = dataset.rows("train")
    for row, clip in zip(rows, dataset.clips(rows), strict=True):
        of_category[clip.category].append(row)
    chosen = [row for some in list(of_category.values())[:categories] for row in select_evenly(some, each)]
    clips = zip(chosen, dataset.clips(chosen), strict=True)
    return [Shown(row, clip.template.replace("_", " "), dataset.captions[clip.id]) for row, clip in clips]


def _draw(folder: Path, sampling: SamplingParams | None, captions: Sequence[Caption]) -> Frames:
    model = Model(folder, sampling)
    z = draw_noise(NOISE_SEED, len(captions), model.generator.z_width)
    return sample(model, [model.condition(caption) for caption in captions], z)


if __name__ == "__main__":
    run(main)
