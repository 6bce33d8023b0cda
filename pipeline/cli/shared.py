"""What all points of a sweep have in common is made once, before they start; else each would make it for itself."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from pipeline.errors import UserError


def run_shared_stages(keys: Sequence[str], environment: dict[str, str]) -> None:
    """`dvc repro` of the stages that no change of the params `keys` reaches. Raises UserError if one fails."""
    stages = shared_stages(keys)
    if not stages:
        return
    print(f"what all points share: {', '.join(stages)}", flush=True)
    if subprocess.run([sys.executable, "-m", "dvc", "repro", *stages], env=environment, check=False).returncode:
        raise UserError("a stage that all points share has failed (see above), so none was started")


def shared_stages(keys: Sequence[str]) -> list[str]:
    """Names of the stages that neither read one of the params `keys` nor follow one that does."""
    import networkx  # these two take a second, which `t2v --help` need not wait for
    from dvc.repo import Repo

    with Repo() as repo:
        graph = repo.index.graph  # from a stage to the stages that it needs
        ours = {stage for stage in graph if stage.path_in_repo == "dvc.yaml"}
        needed = ours.union(*(networkx.descendants(graph, stage) for stage in ours))  # the demo only while it is used
        touched = {stage for stage in graph if any(_overlap(key, read) for key in keys for read in _params_of(stage))}
        reached = touched.union(*(networkx.ancestors(graph, stage) for stage in touched))
        return [stage.addressing for stage in networkx.dfs_postorder_nodes(graph) if stage in needed - reached]


def _params_of(stage: Any) -> list[str]:
    return [name for dependency in stage.params for name in dependency.params]


def _overlap(key: str, read: str) -> bool:
    """Whether one dotted name is the other or lies within it."""
    return f"{key}.".startswith(f"{read}.") or f"{read}.".startswith(f"{key}.")
