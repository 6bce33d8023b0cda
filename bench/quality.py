"""CPU seconds of training until samples are good, for this build and an earlier one: `make bench-quality`.

Both are trained on the demo's clips, on one core each, and evaluated by the demo's judge at intervals, until it
recognises the captions in the samples. bench/quality.yaml sets interval and thresholds. Training runs whose figures are
already in bench/quality.json are skipped.
"""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
import yaml

from bench.figures import FigureTable, choose
from bench.measuring import ROOT, unpack_revision
from pipeline.cli.recipe import merge
from pipeline.data.dataset import DataFolders, Dataset
from pipeline.errors import UserError, run
from pipeline.evaluation.clip_sets import repeat
from pipeline.evaluation.measured_clips import ClipSet, MeasuredClips
from pipeline.files import digest_value, write_json
from pipeline.judges import load_judge
from pipeline.params import check_params, read_yaml
from pipeline.records import Split
from pipeline.source_code import digest_code

SETTINGS, FIGURES = Path(__file__).with_suffix(".yaml"), Path(__file__).with_suffix(".json")
SPLITS: dict[str, Split] = {"joint_accuracy": "test", "pairs_joint_accuracy": "test_pairs"}
NOISE_SEED = 1000


class SampleJudge:
    """The demo's judge, with prompts of the test captions and of held-out pairs."""

    def __init__(self, data: Path, samples: int) -> None:
        self._judge, classes, _ = load_judge(data / "judge")
        dataset = Dataset(DataFolders(data / "labels", data / "clips", data / "captions"))
        rows = {name: dataset.clips(dataset.rows(split, samples)) for name, split in SPLITS.items()}
        prompts = {name: classes.build_prompts(clips, dataset.captions) for name, clips in rows.items()}
        self._prompts = {name: repeat(some, samples) for name, some in prompts.items()}

    def ask(self, folder: Path) -> None:
        """Write the prompts for a training run to `folder`."""
        asked = {
            name: [[prompt.caption.id for prompt in prompts], NOISE_SEED + place]
            for place, (name, prompts) in enumerate(self._prompts.items())
        }
        write_json(folder / "asked.json", asked)

    def judge(self, folder: Path) -> dict[str, float]:
        """Figure -> share of samples in which the judge sees object and category of the caption."""
        found = {}
        with np.load(folder / "drawn.npz") as drawn:
            for name, prompts in self._prompts.items():
                clips = MeasuredClips(ClipSet(drawn[name], prompts), self._judge)
                wanted = np.array([(prompt.object, prompt.category) for prompt in prompts])
                right = (clips.objects == wanted[:, 0]) & (clips.categories == wanted[:, 1])
                found[name] = round(float(right.mean()), 4)
        return found


@dataclass(frozen=True)
class Training:
    """One training run: a build with a seed."""

    name: str
    tree: Path  # of its code
    params: Mapping[str, Any]
    code: str  # digest, or the revision


def main(
    project: Annotated[Path, typer.Option(help="project folder with data/ after `dvc repro judge`")] = Path(),
    builds: Annotated[str, typer.Option(help="builds of bench/quality.yaml, separated by commas [default: all]")] = "",
    seeds: Annotated[
        str, typer.Option(help="training seeds, separated by commas [default: those of bench/quality.yaml]")
    ] = "",
    whole: Annotated[bool, typer.Option(help="train to the end of the budget, even if samples are good")] = False,
    settings: Annotated[Path, typer.Option(help="builds and thresholds")] = SETTINGS,
    out: Annotated[Path, typer.Option(help="metrics of all training runs, including those of earlier calls")] = FIGURES,
    work: Annotated[Path, typer.Option(help="folder for the models")] = Path("runs/quality"),
) -> None:
    """Train each build with each seed, unless its figures exist, and print the CPU seconds of all."""
    tree, table = read_yaml(settings), FigureTable(out)
    chosen = choose(builds, tree["builds"], settings)
    judge = SampleJudge(project / "data", tree["samples"])
    with TemporaryDirectory() as name:
        for training in list_trainings(tree, chosen, seeds.split(",") if seeds else tree["seeds"], Path(name)):
            digest = digest_value({"params": training.params, "code": training.code, "whole": whole, **_limits(tree)})
            if table.find("trainings", training.name, digest) is None:
                looks = list(watch_training(training, project / "data", judge, tree, work / training.name, whole))
                found = {"cpu_seconds": find_good(looks, tree), "looks": looks}
                table.add("trainings", training.name, digest, found)
    table.write("medians", summarise(table.tree["trainings"]))
    print(json.dumps(table.tree["medians"], indent=1))


def list_trainings(tree: Any, builds: list[str], seeds: list[Any], folder: Path) -> Iterator[Training]:
    """The requested training runs, seed by seed; the earlier build is unpacked into `folder`."""
    revision = str(tree["revision"])
    for seed in map(int, seeds):
        for name in builds:
            changes = dict(tree["builds"][name])
            earlier = changes.pop("revision", False)
            if earlier and not any(folder.iterdir()):
                unpack_revision(revision, folder)
            code = folder if earlier else ROOT
            params = read_yaml(code / "params.yaml")
            merge(params, changes | {"seed": seed, "devices": "cpu"})
            if not earlier:
                check_params(params, name)
            yield Training(f"{name}/{seed}", code, params, revision if earlier else digest_code("stages.train_model"))


def watch_training(
    training: Training, data: Path, judge: SampleJudge, tree: Any, folder: Path, whole: bool
) -> Iterator[dict[str, float]]:
    """Train -> the judge's figures at each interval, until they are good or the budget is used up."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "model").mkdir(parents=True)
    judge.ask(folder / "model")
    (folder / "params.yaml").write_text(yaml.safe_dump(dict(training.params), sort_keys=False), encoding="utf-8")
    places = [str(data.resolve()), str((folder / "model").resolve()), str(tree["every_clips"])]
    command = [sys.executable, "-P", str(Path(__file__).with_name("train_and_stop.py")), *places]
    environment = os.environ | {"PYTHONPATH": str(training.tree), "OMP_NUM_THREADS": "1"}
    with (
        (folder / "messages.txt").open("w", encoding="utf-8") as messages,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        for line in process.stdout:
            clips, seconds = json.loads(line)
            look = {"clips": clips, "cpu_seconds": round(seconds, 1)} | judge.judge(folder / "model")
            print(training.name, look, flush=True)
            yield look
            if find_good([look], tree) is not None and not whole:
                break
            print("on", file=process.stdin, flush=True)
        process.stdin.close()
    if process.returncode:
        raise UserError(f"{training.name}: training failed, see {folder / 'messages.txt'}")


def find_good(looks: list[dict[str, float]], limits: Mapping[str, Any]) -> float | None:
    """CPU seconds of training at the first evaluation above all thresholds, or None."""
    good = (look["cpu_seconds"] for look in looks if all(look[name] >= limits[name] for name in SPLITS))
    return next(good, None)


def summarise(trainings: Mapping[str, Any]) -> dict[str, Any]:
    """CPU seconds of each build, by seed and the median; None if the thresholds were not reached."""
    seconds: dict[str, dict[str, float | None]] = {}
    for name, found in sorted(trainings.items()):
        build, _, seed = name.partition("/")
        seconds.setdefault(build, {})[seed] = found["cpu_seconds"]
    for by_seed in seconds.values():
        middle = median(math.inf if value is None else value for value in by_seed.values())
        by_seed["median"] = None if math.isinf(middle) else middle
    return seconds


def _limits(tree: Any) -> dict[str, Any]:
    return {name: tree[name] for name in ("every_clips", "samples", *SPLITS)}


if __name__ == "__main__":
    run(main)
