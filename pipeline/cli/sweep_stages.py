"""The stages of a sweep, from DVC's graph: those that all points share, and those that each point runs."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any, NamedTuple

from pipeline.cli.prepare import open_config
from pipeline.errors import UserError, describe_fault
from pipeline.provenance.locks import quote_setting

TRAIN = "train"


class SweptStages(NamedTuple):
    """Names of stages, in execution order, and files in the project's folder."""

    shared: list[str]  # not affected by the swept keys
    swept: list[str]  # the others
    inputs: list[str]  # the shared ones whose outputs a swept stage reads
    kept_by_git: list[str]  # outputs of swept stages that are not in DVC's cache
    left_out: dict[str, list[str]]  # affected stages that points do not run -> their cached outputs
    left_to_git: list[str]  # outputs of those that are not in DVC's cache


def split_stages(keys: Sequence[str], until: str = "") -> SweptStages:
    """The stages by whether they depend, directly or not, on one of the params `keys`.

    Points run the stage `until`, if given, and what it needs. Raises UserError if it is neither `train` nor downstream
    of it, or does not depend on the keys.
    """
    import networkx  # slow to import, like DVC

    with _open_project() as repo:
        graph = repo.index.graph  # edges lead from a stage to its dependencies
        ours = {stage for stage in graph if stage.path_in_repo == "dvc.yaml"}
        needed = ours.union(*(networkx.descendants(graph, stage) for stage in ours))  # the demo only if it is used
        touched = {stage for stage in graph if any(_overlap(key, read) for key in keys for read in _list_params(stage))}
        reached = touched.union(*(networkx.ancestors(graph, stage) for stage in touched)) & needed
        order = [stage for stage in networkx.dfs_postorder_nodes(graph) if stage in needed]
        if until and reached:
            last = _find_last([stage for stage in order if stage in reached], graph, until)
            needed = networkx.descendants(graph, last) | {last}
        run, left_out = reached & needed, reached - needed
        read = {stage for swept in run for stage in graph.successors(swept)} - run
        shared, swept, inputs = (
            [stage.addressing for stage in order if stage in part] for part in (needed - run, run, read)
        )
        left = {stage.addressing: _list_outs(stage, repo.root_dir, True) for stage in order if stage in left_out}
        kept, unkept = (
            sorted(path for stage in part for path in _list_outs(stage, repo.root_dir, False))
            for part in (run, left_out)
        )
        return SweptStages(shared, swept, inputs, kept, left, unkept)


@contextmanager
def _open_project() -> Iterator[Any]:
    """Yield the project, opened by DVC. Raises UserError if its files are invalid, or DVC's databases not writable."""
    from dvc.dirs import site_cache_dir
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    open_config(Path(".dvc"))  # its error names the file; DVC's does not
    try:
        with Repo() as repo:
            yield repo
    except DvcException as error:
        fault = describe_fault(error)
        raise UserError(f"DVC cannot read this project: {fault}; `dvc status` shows whether it is fixed") from None
    except OperationalError as error:
        raise UserError(
            f"{site_cache_dir()}: DVC's database here, or in core.site_cache_dir, fails: {error}; "
            "make room or correct the permissions, then run the same command again"
        ) from None


def _find_last(reached: Sequence[Any], graph: Any, until: str) -> Any:
    """The stage `until` among those that the swept keys affect. Raises UserError if points cannot end with it."""
    import networkx

    may = {
        stage.addressing: stage
        for stage in reached
        if TRAIN in (stage.addressing, *(one.addressing for one in networkx.descendants(graph, stage)))
    }
    if until not in may:
        raise UserError(f"--until {until}: points of this sweep can end with {', '.join(may)}")
    return may[until]


def run_shared_stages(stages: Sequence[str], environment: dict[str, str]) -> None:
    """Run `dvc repro` for the stages in the workspace. Raises UserError if one fails."""
    if not stages:
        return
    print(f"running the stages that all points share: {', '.join(stages)}", flush=True)
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *stages]
    with subprocess.Popen(command, env=environment) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:  # DVC receives it too; `subprocess.run` would kill it while a stage saves
            process.wait()
            raise
    if code:
        raise UserError("a stage that all points share has failed (see above), so no point was started")


def settings_for_copies() -> str:
    """DVC's config for a copy of this project: same cache, no git, no analytics; `[core]` is the last section."""
    with _open_project() as repo:
        links = repo.config["cache"].get("type")
        folder = quote_setting(repo.cache.local_cache_dir)
        cache = [f"dir = {folder}", *([f"type = {','.join(links)}"] if links else [])]
    return "\n".join(["[cache]", *cache, "[core]", "no_scm = true", "analytics = false", "check_update = false", ""])


def _list_outs(stage: Any, root: str, cached: bool) -> list[str]:
    """The outputs of a stage, relative to the project's folder: those in DVC's cache, or those that are not."""
    return [os.path.relpath(out.fs_path, root) for out in stage.outs if out.use_cache == cached]


def _list_params(stage: Any) -> list[str]:
    return [name for dependency in stage.params for name in dependency.params]


def _overlap(key: str, read: str) -> bool:
    """Whether one dotted name equals or contains the other."""
    return f"{key}.".startswith(f"{read}.") or f"{read}.".startswith(f"{key}.")
