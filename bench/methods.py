"""Compares methods at equal CPU time: python -m bench.methods demo=. toycar=../toycar

A project is a folder with params.yaml, and data/ after `dvc repro judge`. Each method of bench/methods.yaml is trained
by the stage `train` on one core, for as many clips as it processes in the given CPU minutes, and evaluated by the stage
`evaluate`. Cells that bench/methods.json already has are skipped; models are kept in runs/methods.
"""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from bench.figures import FigureTable, choose
from bench.measuring import ROOT, run_stage
from pipeline.cli.recipe import merge
from pipeline.errors import run
from pipeline.evaluation.controls import SECOND_REAL
from pipeline.files import atomic_write, digest_value, read_json
from pipeline.params import check_params, read_yaml
from pipeline.records import Clip
from pipeline.tables import read_table, write_table

METHODS, FIGURES = Path(__file__).with_suffix(".yaml"), Path(__file__).with_suffix(".json")
WORK = Path("runs/methods")
SHORT, LONG = 10, 40  # steps of two training runs, whose difference gives the speed of a method
MEASURED = 1 / 16  # of the CPU time of a cell, which that difference has to last: starts differ by seconds
STEPS = "steps"  # key of a method: numbers of sampling steps, each evaluated as a separate row
NEVER = 10**9  # clips
KEPT = (
    "two_sample_frames",
    "two_sample_motion",
    "motion_distance",
    "motion_distance_by_category",
    "coverage",
    "recall",
    "precision",
    "density",
    "joint_accuracy",
    "category_accuracy",
    "pairs_joint_accuracy",
    "motion_direction",
    "motion_direction_ceiling",
    "static_share",
    "sharpness",
    "flicker",
    "diversity_pixels",
    "copy_rate",
)
OF_VAL = "_of_real_val"


@dataclass(frozen=True)
class Cell:
    """One training run: a method on the clips of a project."""

    project: str
    folder: Path
    method: str
    changes: Mapping[str, Any]
    clips: int  # training clips; 0: all
    seed: int
    minutes: float  # of CPU time

    @property
    def name(self) -> str:
        return f"{self.project}/{self.minutes:g}min/{self.method}/{self.clips or 'all'}/{self.seed}"

    @property
    def rows(self) -> dict[str, int | None]:
        """The names of its rows, with the sampling steps of each, or None if the method has none."""
        return {f"{self.name}-{steps}": steps for steps in self.changes.get(STEPS, ())} or {self.name: None}


def main(
    projects: Annotated[list[str], typer.Argument(help="name=folder, each with data/ after `dvc repro judge`")],
    minutes: Annotated[float, typer.Option(min=0.01, help="CPU minutes per training run")] = 30.0,
    methods: Annotated[
        str, typer.Option(help="methods of bench/methods.yaml, separated by commas [default: all]")
    ] = "",
    clips: Annotated[str, typer.Option(help="numbers of training clips, separated by commas; 0: all")] = "100,300,0",
    seeds: Annotated[str, typer.Option(help="training seeds, separated by commas")] = "17,18,19",
    jobs: Annotated[int, typer.Option(min=1, help="training runs at a time, each on one core")] = 1,
    out: Annotated[Path, typer.Option(help="metrics of all cells, including those of earlier calls")] = FIGURES,
    work: Annotated[Path, typer.Option(help="folder for the models")] = WORK,
) -> None:
    """Train and evaluate every method on every project, with every number of clips and every seed."""
    table = FigureTable(out)
    wanted = list(_list_cells(projects, methods, clips, seeds, minutes))
    with ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(lambda cell: _make(cell, table, work), wanted):
            pass


def parse_methods() -> dict[str, Any]:
    """The methods by name: changes to the params of a project."""
    methods: dict[str, Any] = read_yaml(METHODS)
    return methods


def _list_cells(projects: list[str], methods: str, clips: str, seeds: str, minutes: float) -> Iterator[Cell]:
    known = parse_methods()
    chosen = choose(methods, known, METHODS)
    for seed in map(int, seeds.split(",")):
        for project in projects:
            name, _, folder = project.partition("=")
            for count in map(int, clips.split(",")):
                for method in chosen:
                    yield Cell(name, Path(folder).resolve(), method, known[method], count, seed, minutes)


def _make(cell: Cell, table: FigureTable, work: Path) -> None:
    tree = _build_params(cell)
    digest = digest_value({"tree": tree, "minutes": cell.minutes})
    if all(table.find("cells", name, digest) for name in cell.rows):
        return
    folder = (work / cell.name).resolve()
    speed = _measure_speed(cell, tree, table, folder)
    step = check_params(tree, cell.method).train.step_clips
    tree["train"]["total_clips"] = max(round(60 * cell.minutes * speed / step), 1) * step
    _lay_out(cell, tree, folder)
    seconds = run_stage("stages.train_model", folder).critical_seconds
    found = {"cpu_seconds": round(seconds, 1), "clips_shown": tree["train"]["total_clips"]}
    for name, steps in cell.rows.items():
        if steps is not None:
            tree["sampling"]["steps"] = steps
            _write_params(tree, folder)
        run_stage("stages.evaluate_model", folder)
        figures = _read_figures(folder)
        table.add("cells", name, digest, found | figures)
        shown = ", ".join(f"{figure} {value}" for figure, value in figures.items() if figure.startswith("two_sample"))
        print(f"{name}: {seconds:.0f} CPU s, {found['clips_shown']} clips; {shown}", flush=True)


def _build_params(cell: Cell) -> Any:
    """The params of the project with those of the method, without validation, checkpoints and logged samples."""
    tree = read_yaml(cell.folder / "params.yaml")
    if recipe := cell.changes.get("recipe"):
        found = read_yaml(ROOT / "recipes" / f"{recipe}.yaml")
        merge(tree, {section: found[section] for section in ("train", "sampling") if section in found})
    merge(tree, {key: value for key, value in cell.changes.items() if key not in ("recipe", STEPS)})
    tree |= {"seed": cell.seed, "devices": "cpu"}
    tree["train"]["validation"]["every_clips"] = NEVER
    tree["checkpoints"]["every_clips"] = tree["logging"]["sample_clips"] = NEVER
    return tree


def _measure_speed(cell: Cell, tree: Any, table: FigureTable, folder: Path) -> float:
    """Training clips per CPU second, without startup and shutdown."""
    name = f"{cell.project}/{cell.method}"
    digest = digest_value({key: tree[key] for key in ("clip", "train")})
    if known := table.find("speeds", name, digest):
        return float(known["clips_per_cpu_second"])
    step = check_params(tree, cell.method).train.step_clips

    def measure(steps: int) -> float:
        short = json.loads(json.dumps(tree))
        short["train"]["total_clips"] = steps * step
        _lay_out(cell, short, folder)
        return run_stage("stages.train_model", folder).critical_seconds

    start, steps = measure(SHORT), LONG
    while (difference := measure(steps) - start) < 60 * cell.minutes * MEASURED:
        steps *= 2
    speed = (steps - SHORT) * step / difference
    table.add("speeds", name, digest, {"clips_per_cpu_second": round(speed, 2)})
    return speed


def _lay_out(cell: Cell, tree: Any, folder: Path) -> None:
    """Create a project that links to the other one's data, with fewer training clips."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data/labels").mkdir(parents=True)
    (folder / "extensions").mkdir()
    _write_params(tree, folder)
    for part in ("clips", "captions", "judge"):
        (folder / "data" / part).symlink_to(cell.folder / "data" / part)
    for path in (cell.folder / "data/labels").iterdir():
        (folder / "data/labels" / path.name).symlink_to(path)
    table = folder / "data/labels/clips.parquet"
    rows = read_table(table, Clip)
    table.unlink()
    train = sorted((digest_value(clip.id), clip.id) for clip in rows if clip.split == "train")
    chosen = {name for _, name in train[: cell.clips or None]}
    write_table(table, Clip, [clip for clip in rows if clip.split != "train" or clip.id in chosen])


def _write_params(tree: Any, folder: Path) -> None:
    with atomic_write(folder / "params.yaml") as temporary:
        temporary.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")


def _read_figures(folder: Path) -> dict[str, float]:
    """Figures of the generator, and those of real clips of val, whose names end with OF_VAL."""
    found = read_json(folder / "metrics.json", "")
    figures = {name: found[name] for name in KEPT if found.get(name) is not None}
    with (folder / "data/evaluation/table.csv").open(newline="", encoding="utf-8") as file:
        real = {row["metric"]: row["value"] for row in csv.DictReader(file) if row["set"] == SECOND_REAL}
    figures |= {name + OF_VAL: float(real[name]) for name in KEPT if real.get(name)}
    return {name: round(value, 4) for name, value in figures.items()}


if __name__ == "__main__":
    run(main)
