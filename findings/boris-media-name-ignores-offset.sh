#!/usr/bin/env bash
# An observation of BORIS may hold several videos as one time line, and a time offset, which is added to the time of each event.
# The exports then have a column "Media file name", which BORIS looks up by the time with the offset still in it: an event
# near the end of the first video is said to be in the second, and one beyond the last video is in none.
#
# Seen on 2026-11-28 with boris-behav-obs 8.27.4; a.mp4 of 180 s and b.mp4 of 360 s, offset 100 s, an event 170 s into a.mp4:
#   Media file name: b.mp4; without an offset: a.mp4
#
# What this project does: the columns Source, Media duration (s) and Time offset (s) place an event, not Media file name.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check --no-deps boris-behav-obs==8.27.4
venv/bin/python - <<'E'
# The module of the function imports a window system and a player: only the function itself is taken out of it.
import ast
import importlib.util
import sys
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Optional

package = Path(importlib.util.find_spec("boris").origin).parent
spec = importlib.util.spec_from_file_location("config", package / "config.py")
config = importlib.util.module_from_spec(spec)
spec.loader.exec_module(config)
tree = ast.parse((package / "observation_operations.py").read_text(encoding="utf-8"))
functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "event2media_file_name"]
known = {"cfg": config, "dec": Decimal, "Optional": Optional}
exec(compile(ast.Module(functions, []), "boris", "exec"), known)

OFFSET = Decimal(100)
observation = {
    config.FILE: {"1": ["a.mp4", "b.mp4"]},
    config.MEDIA_INFO: {config.LENGTH: {"a.mp4": 180.0, "b.mp4": 360.0}},
    config.TIME_OFFSET: OFFSET,
}
print(f"versions: boris-behav-obs {version('boris-behav-obs')}")
print("expected: an event 170 s into a.mp4 is in a.mp4, with a time offset or without")
# BORIS stores an event at the time in the videos plus the offset (core.py, write_event), and asks with that time.
found = {offset: known["event2media_file_name"](observation, Decimal(170) + offset) for offset in (Decimal(0), OFFSET)}
for offset, name in found.items():
    print(f"seen:     offset {offset} s: {name}")
if list(found.values()) != ["a.mp4", "b.mp4"]:
    sys.exit("changed: BORIS takes the offset off before it looks up the video")
print("as recorded")
E
