"""The speed of training: `make bench-train` prints a table and writes bench/train.json.

Each ratio is measured within one run, alternating between variants. On a CPU, training uses one core and CPU time is
measured, since the machine may be shared; with all cores or a GPU, wall time is. The best round of each variant counts;
the ratio of medians is shown next to it.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import torch
import typer

from bench.measuring import describe_machine
from bench.table import collect_figures, print_measures
from bench.training import data_measures, gpu_measures, measure_processes, sampling_measures, step_measures
from pipeline.cli.recipe import load_recipe
from pipeline.distributed import set_up
from pipeline.errors import run
from pipeline.files import write_json
from pipeline.params import load_params


def main(
    side: Annotated[int, typer.Option(min=8, help="height and width of a clip in pixels")] = 32,
    batch_clips: Annotated[int, typer.Option(min=1, help="batch size of all variants")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="number of measurements of everything")] = 5,
    params: Annotated[Path, typer.Option(help="params to measure")] = Path("params.yaml"),
    seed_recipe: Annotated[str, typer.Option(help="recipe to compare with")] = "seed-2019",
    out: Annotated[Path, typer.Option(help="output file")] = Path("bench/train.json"),
) -> None:
    """Measure everything, which takes some minutes; use smaller numbers for a smoke test."""
    set_up(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    ours, seed = load_params(params), load_recipe(seed_recipe)
    shape = ours.clip.model_copy(update={"height": side, "width": side})
    train, of_seed = (each.train.model_copy(update={"batch_clips": batch_clips}) for each in (ours, seed))
    with tempfile.TemporaryDirectory() as name:
        measures = step_measures(shape, train, of_seed, rounds)
        measures += measure_processes(Path(name), shape, train, rounds)
        measures += data_measures(Path(name), shape, train, 8 * rounds)
        measures += sampling_measures(shape, train, ours.render.fps, rounds) + gpu_measures(shape, train, rounds)
    print_measures(measures)
    settings = {"frames": shape.frames, "side": side, "batch_clips": batch_clips, "rounds": rounds}
    write_json(out, collect_figures(measures) | {"settings": settings, "machine": describe_machine()})


if __name__ == "__main__":
    run(main)
