"""Judges as files: safetensors, beside a json of what they can tell apart."""

import json
import textwrap
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from pipeline.errors import UserError
from pipeline.evaluation.classes import Classes
from pipeline.evaluation.judges import Judge, JudgeName
from pipeline.files import replacing, write_json
from pipeline.params import ClipParams

DESCRIPTION = "judges.json"
NAMES: tuple[JudgeName, ...] = get_args(JudgeName)


def save_judges(folder: Path, judges: dict[JudgeName, Judge], description: dict[str, Any]) -> None:
    """Write the networks, then the description (`clip`, `width`, `words`, `objects`, `categories`, `clips`, ...)."""
    for name, judge in judges.items():
        with replacing(folder / _file(name)) as temporary:
            temporary.write_bytes(save({key: value.contiguous() for key, value in judge.state_dict().items()}))
    write_json(folder / DESCRIPTION, description)


def load_judges(folder: Path) -> tuple[dict[JudgeName, Judge], Classes, ClipParams]:
    """The judges, ready to look. Raises UserError where files are absent or do not fit each other."""
    for path in (folder / DESCRIPTION, *(folder / _file(name) for name in NAMES)):
        if not path.exists():
            raise UserError(f"{path}: no such file; `dvc repro judge` makes it")
    try:
        told = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        shape, classes = (
            ClipParams.model_validate(told["clip"]),
            Classes(tuple(told["objects"]), tuple(told["categories"])),
        )
        judges = {
            name: Judge(name, shape, told["width"], len(classes.objects), len(classes.categories), told["words"])
            for name in NAMES
        }
        for name, judge in judges.items():
            judge.lessons = int(told["clips"])
            judge.load_state_dict(load_file(folder / _file(name)))
            judge.eval().requires_grad_(False)
    except (KeyError, TypeError, ValueError, SafetensorError, RuntimeError) as error:
        why = textwrap.shorten(str(error), 200)
        raise UserError(f"{folder}: not the judges of this version ({why}); `dvc repro -f judge`") from None
    return judges, classes, shape


def _file(name: JudgeName) -> str:
    return f"judge_{name}.safetensors"
