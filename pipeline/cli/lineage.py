"""`t2v lineage`: traces a rendered file or a figure back to the model, its params, data and code."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from pipeline.cli.commands import JsonOption
from pipeline.errors import UserError, suggest_name
from pipeline.files import digest_file, digest_value, read_json_object, read_product
from pipeline.provenance.locks import (
    MODEL_FOLDER,
    Step,
    digest_md5,
    find_cache,
    find_makers,
    list_folder,
    list_locked_models,
    open_model,
    read_steps,
)
from pipeline.provenance.media import Media, read_media
from pipeline.records import GENERATOR, PROVENANCE, digest_description, find_model_files
from pipeline.repository import git
from pipeline.source_code import digest_maker, modules

CODE = ("extensions/", "pipeline/", "stages/")
METRICS = {"metrics.json": "data/evaluation", "data/model/training.json": "data/model"}  # -> folder of its provenance

Tree = dict[str, Any]


def lineage(
    source: Annotated[str, typer.Argument(metavar="FILE|METRIC", help="a rendered file, or a name in metrics.json")],
    model: Annotated[
        Path | None, typer.Option(help="folder of the model that made the file [default: searched for]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the origin of a file or a metric: model, params, digests of data and code, machine, and stages.

    Most of it is in the file itself; the stages and commits are from lock files and git, if available.

    Example: t2v lineage joint_accuracy
    """
    path = Path(source)
    named = path.suffix or path.exists()
    tree = trace_file(read_media(path), model, Path()) if named else trace_metric(source, Path())
    print(
        json.dumps(tree, indent=2)
        if as_json
        else yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120).rstrip()
    )


def trace_file(media: Media, model: Path | None, root: Path) -> Tree:
    """The provenance of a file, its model if it is found, and the stages behind it if a lock file has it."""
    facts = media.require_facts()
    tree: Tree = {"file": str(media.path), **{key: value for key, value in facts.items() if key != "model"}}
    tree |= _compare_code(facts)
    if "model" in facts:
        try:
            with open_model(str(facts["model"]), model) as folder:
                tree["model"] = _describe_model(folder, root)
        except UserError as error:
            tree["model"] = {"weights": facts["model"], "not here": str(error)}
    return tree | _trace_locked(media.path, root)


def trace_metric(name: str, root: Path) -> Tree:
    """The origin of a figure of metrics.json or of the training. Raises UserError for an unknown name."""
    known: list[str] = []
    for path, folder in METRICS.items():
        values = read_product(root / path)
        known += values
        if name in values:
            return {
                "metric": name,
                "value": values[name],
                "file": path,
                **_read_making(root / folder),
                **_trace_locked(root / path, root),
            }
    raise UserError(
        f"{name}: neither a file nor a metric of {', '.join(METRICS)}"
        f"{suggest_name(name, known) or '; they have: ' + (', '.join(known) or 'nothing')}"
    )


def _describe_model(folder: Path, root: Path) -> Tree:
    """The weights, their provenance, and the oldest commit whose lock file has this model."""
    files = find_model_files(folder)
    description = read_json_object(files.description, "it belongs next to the weights of a model")
    tree: Tree = {"weights": digest_file(files.weights)}
    tree |= {key: value for key, value in _read_making(folder).items() if key != "params"}
    chosen = {key: description[key] for key in ("seed", "clip", "train") if key in description}
    tree |= {"params digest": digest_description(description), "params": chosen}
    weights, cache, oldest = digest_md5(files.weights), find_cache(root), ""
    for digests, commit in list_locked_models(root):
        if (list_folder(cache, digests[MODEL_FOLDER]) or {}).get(GENERATOR) == weights:
            oldest = commit
    return tree | ({"first locked by": _name_commit(oldest, root)} if oldest else {})


def _read_making(folder: Path) -> Tree:
    """The provenance that a stage wrote to this folder."""
    made = read_product(folder / PROVENANCE)
    return made | _compare_code(made)


def _compare_code(facts: Tree) -> Tree:
    """Whether the code of a stage is the same as in the working directory."""
    maker, code = facts.get("made_by", ""), facts.get("code")
    if not code or not isinstance(maker, str) or maker not in modules():
        return {}
    return {"code here": "the same" if digest_maker(maker) == code else "different"}


def _trace_locked(path: Path, root: Path) -> Tree:
    """The stages behind an output, last first, each with its params, data and code from the lock files."""
    steps = read_steps(root)
    start = find_makers(path, steps, root)
    return {"stages": [_describe_step(step) for step in _order_upstream(start, steps)]} if start else {}


def _order_upstream(start: Sequence[Step], steps: Sequence[Step]) -> Iterator[Step]:
    """The steps and all steps upstream of them, each once."""
    waiting, seen = list(start), set()
    while waiting:
        step = waiting.pop(0)
        if step.address not in seen:
            seen.add(step.address)
            yield step
            waiting += [other for other in steps if _feeds(other, step)]


def _feeds(one: Step, other: Step) -> bool:
    return any(Path(dep).is_relative_to(out) or Path(out).is_relative_to(dep) for dep in other.deps for out in one.outs)


def _describe_step(step: Step) -> Tree:
    code = {path: md5 for path, md5 in step.deps.items() if path.startswith(CODE)}
    data = {path: md5 for path, md5 in step.deps.items() if path not in code}
    return {
        "stage": step.name,
        "command": step.command,
        "made": dict(step.outs),
        "of": data,
        "params": dict(step.params),
        "code": digest_value(code),
    }


def _name_commit(commit: str, root: Path) -> str:
    return git("log", "-1", "--format=%h %cs %s", commit, folder=root).stdout.strip()
