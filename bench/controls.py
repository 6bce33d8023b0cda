"""Whether all planted controls change the metrics as required, for several seeds of judge and planted clips.

`python -m bench.controls` reads data/ after `dvc repro judge` and prints a table of the requirements, with the number
of seeds that met each. None is about the generator, so no model is needed.
"""

from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.printing import open_console, print_table
from pipeline.data.dataset import DataFolders, Dataset
from pipeline.evaluation.clip_sets import read_real_clips
from pipeline.evaluation.controls import Check
from pipeline.evaluation.evaluate import evaluate_sets
from pipeline.judges.training import read_examples, train_judge
from pipeline.params import load_params

Requirement = tuple[str, str]  # metric and control


def main(
    seeds: Annotated[list[int], typer.Argument(help="seeds of the judge and of the planted clips")] = [1, 2, 3, 4, 5],  # noqa: B006
    data: Annotated[Path, typer.Option(help="folder with labels, clips and captions")] = Path("data"),
) -> None:
    """Train the judge with each seed and check every control with it."""
    params = load_params()
    dataset = Dataset(DataFolders(data / "labels", data / "clips", data / "captions"))
    classes, examples = read_examples(dataset, params.judge)
    reals = read_real_clips(dataset, classes, params.evaluate)
    checks: dict[Requirement, list[Check]] = defaultdict(list)
    for seed in seeds:
        judge = train_judge(params.clip, classes, len(dataset.vocabulary), examples, params.judge, seed)
        options = params.evaluate.model_copy(update={"seed": seed})
        for check in evaluate_sets(judge, reals, {}, options, networks={}).checks:
            checks[check.metric, check.control].append(check)
        print(f"seed {seed}: {sum(of[-1].passed is False for of in checks.values())} checks failed", flush=True)
    console = open_console()
    lines = [(*names, of[-1].demand, format_range(of), count_met(of)) for names, of in checks.items()]
    print_table(console, ["metric", "control", "requirement (last seed)", "measured", "passed"], lines)
    for reason in dict.fromkeys(of[-1].reason for of in checks.values() if of[-1].passed is None):
        names = [f"{metric} ({control})" for (metric, control), of in checks.items() if of[-1].reason == reason]
        console.print(f"not tested: {', '.join(names)}: {reason}", highlight=False, markup=False)
    tried = [of for of in checks.values() if any(check.passed is not None for check in of)]
    always = sum(all(check.passed is not False for check in of) for of in tried)
    console.print(f"{always} of {len(tried)} testable checks passed with every seed", highlight=False)


def format_range(checks: list[Check]) -> str:
    """The minimum and maximum figure."""
    found = [check.found for check in checks if check.found is not None]
    return f"{min(found):.3g} to {max(found):.3g}" if found else "n/a"


def count_met(checks: list[Check]) -> str:
    """The number of seeds that met a requirement, of those with which it could be checked."""
    tried = [check.passed for check in checks if check.passed is not None]
    return f"{sum(tried)} of {len(tried)}"


if __name__ == "__main__":
    typer.run(main)
