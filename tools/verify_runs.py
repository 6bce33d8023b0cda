"""Run the demo in two clean clones and compare all outputs: `make verify`, or python -m tools.verify_runs --help.

The clones are of the last commit. Locked outputs are compared, too: if they differ from both clones, this machine is of
another kind than the one that locked them (`t2v doctor`).
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
import yaml

from pipeline.cli.recipe import merge
from pipeline.errors import UserError, run
from pipeline.params import read_yaml
from pipeline.provenance.locks import find_cache, list_folder, read_steps
from pipeline.repository import child_environment

ROOT = Path(__file__).parents[1]


def make_clone(source: Path, folder: Path, changes: Path | None, targets: list[str]) -> dict[str, str]:
    """Clone, change params, run the graph -> path -> MD5 of each output file."""
    _call(["git", "clone", "--quiet", str(source), str(folder)], Path())
    if changes is not None:
        path = folder / "params.yaml"
        tree = read_yaml(path)
        merge(tree, read_yaml(changes))
        path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    _call([sys.executable, "-m", "pipeline.cli", "prepare"], folder)
    _call([sys.executable, "-m", "dvc", "repro", "--force", "--no-run-cache", *targets], folder)
    return list_files(folder)


def list_files(folder: Path) -> dict[str, str]:
    """Path -> MD5 of each output file, from the lock files and the cache of a project."""
    found: dict[str, str] = {}
    cache = find_cache(folder)
    for path, digest in list_outputs(folder).items():
        names = list_folder(cache, digest) or {}
        found |= {f"{path}/{name}": md5 for name, md5 in names.items()} or {path: digest}
    return found


def list_outputs(folder: Path) -> dict[str, str]:
    """Path -> MD5 of each output, from the lock files of a project."""
    return {path: md5 for step in read_steps(folder) for path, md5 in step.outs.items()}


def verify_runs(
    targets: Annotated[list[str] | None, typer.Argument(help="stages [default: all]")] = None,
    changes: Annotated[Path | None, typer.Option(help="YAML file of changes to the params, like a recipe")] = None,
    source: Annotated[Path, typer.Option(help="repository to clone")] = ROOT,
) -> None:
    """Compare two runs from clean clones, file by file; exit code 1 if they differ."""
    locked = list_outputs(source)
    with TemporaryDirectory() as temporary:
        runs = [make_clone(source, Path(temporary) / name, changes, targets or []) for name in ("one", "other")]
        outs = list_outputs(Path(temporary) / "one")
    one, other = runs
    differing = sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))
    for path in differing:
        print(f"{path}: {one.get(path, 'absent')} and {other.get(path, 'absent')}")
    equal = len(one.keys() | other.keys()) - len(differing)
    print(f"{equal} files are equal in two clean clones, {len(differing)} differ")
    if changes is None:
        for path, md5 in outs.items():
            print(f"{path}: {'as locked' if locked.get(path) == md5 else 'differs from the lock file'}")
    if differing:
        raise UserError("two runs of the same commit differ; docs/explanation/determinism.md explains when they may")


def _call(command: list[str], folder: Path) -> None:
    """Run a command with the code of `folder`, showing its output. Raises UserError if it fails."""
    kept = {name: value for name, value in child_environment().items() if name != "PYTHONPATH"}
    if subprocess.run(command, cwd=folder, env=kept, check=False).returncode:
        raise UserError(f"{' '.join(command)} failed in {folder}")


if __name__ == "__main__":
    run(verify_runs)
