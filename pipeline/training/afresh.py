"""How a run begins beside those that were stopped: it says what sets it apart, and removes the oldest of them."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.files import write_json
from pipeline.states import held, remove_abandoned
from pipeline.training.states import KIND, States

RUN = "run.json"  # in the folder of its states: what the run is
TOLD = 4  # differences, at most


def begin(states: States, params: Mapping[str, Any], parts: Mapping[str, str], keep_runs: int) -> None:
    """Note what this run is, and say once what it has changed, where it starts afresh beside one that was stopped.

    `parts` are the ingredients of the run. All but the `keep_runs` newest runs lose their states.
    """
    # The points of a sweep, which run in folders of their own, differ on purpose.
    if not states.paths() and states.folder.resolve().is_relative_to(Path.cwd()):
        for folder in _others(states.folder):
            before = json.loads((folder / RUN).read_text(encoding="utf-8"))
            changes = [*_changes(before["params"], params), *_changed_parts(before["parts"], parts)]
            told = ", ".join(changes[:TOLD]) + (f" and {len(changes) - TOLD} more" if len(changes) > TOLD else "")
            print(f"train: starts afresh: {told}; undo that, and the run that was stopped goes on", file=sys.stderr)
            break
    write_json(states.folder / RUN, {"params": params, "parts": parts})
    remove_abandoned(states.folder.parent, KIND, keep_runs)


def _others(own: Path) -> Iterator[Path]:
    """Folders of other runs that were stopped after they had saved a state, the newest first."""
    folders = [path for path in own.parent.glob(f"{KIND}-*") if path != own and (path / RUN).exists()]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        with held(folder, wait=False) as stopped:
            if stopped and any(folder.glob("step-*.pt")):
                yield folder


def _changes(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """Every value that is another one: `train.mismatched 1.0 -> 0.5`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in sorted({*before, *now}):
            yield from _changes(before.get(name), now.get(name), f"{key}.{name}" if key else name)
    elif before != now:
        yield f"{key} {before} -> {now}"


def _changed_parts(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Other data, by file, other code, another torch."""
    names = sorted(name for name in {*before, *now} - {"params"} if before.get(name) != now.get(name))
    for name in names:
        yield f"torch {before.get(name)} -> {now.get(name)}" if name == "torch" else f"other {name}"
