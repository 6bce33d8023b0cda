"""What names the code of a command that makes files, remembered between calls: to find it takes as long as to draw."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from pipeline.files import replacing

ROOT = Path(__file__).parents[2]
MEMO = ROOT / ".dvc" / "tmp" / "makers.json"


def describe_command(name: str) -> dict[str, str]:
    """As `pipeline.source_code.describe_maker`, which reads the code anew once any file of it has changed."""
    key = f"{name} {version('t2v')} {_sign_code()}"
    try:
        memo = json.loads(MEMO.read_bytes())
        if memo["key"] == key and memo["told"].keys() == {"made_by", "code", "version"}:
            return {part: str(value) for part, value in memo["told"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # there is none yet, or it is broken
        pass
    from pipeline.source_code import describe_maker

    told = describe_maker(name)
    if MEMO.parents[1].is_dir():
        try:
            with replacing(MEMO) as temporary:
                temporary.write_text(json.dumps({"key": key, "told": told}), encoding="utf-8")
        except PermissionError:  # of a project that is read only
            pass
    return told


def _sign_code() -> str:
    """Names the files of code by their paths, sizes and times of change."""
    digest = hashlib.sha256()
    for path in sorted(path for top in ("pipeline", "stages") for path in (ROOT / top).rglob("*.py")):
        state = path.stat()
        digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
