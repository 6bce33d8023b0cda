"""Shared types and checks of the sections of params.yaml."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipeline.errors import suggest_name

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
REFERENCE = r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*"  # to user-defined code: package.module:object


# The syntax of the key `devices` and the variable T2V_DEVICES.
DEVICES = re.compile(
    r"auto|cpu(?::(?P<processes>[1-9]\d*))?|(?P<gpus>\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?)*)", re.ASCII
)
DEVICES_VARIABLE = "T2V_DEVICES"  # overrides params, so that parallel sweeps can have different devices
VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"  # by which CUDA, and so torch, numbers them
NO_DEVICES = "is none of auto, cpu, cpu:2 (processes), 3-5 or 0,2 (GPUs)"


def _fits_between_quotes(path: str) -> str:
    if "'" in path:
        raise ValueError(
            f"{path!r} has an apostrophe, which would end it in the commands of dvc.yaml; rename or link it"
        )
    if path.split("/")[0] == "~":
        raise ValueError(f"{path!r} starts with ~, which only shells replace by the home folder; write the whole path")
    return path


QuotedPath = Annotated[Text, AfterValidator(_fits_between_quotes)]  # of a path that dvc.yaml puts between apostrophes


def require_one_of(*names: str) -> AfterValidator:
    """Check that a text is one of the built-in `names`, or a reference to user-defined code."""

    def check(value: str) -> str:
        if value not in names and not re.fullmatch(REFERENCE, value):
            choices = f"{', '.join(names)} or package.module:object (docs/extending.md)"
            raise ValueError(f"{value!r} is none of {choices}{suggest_name(value, names)}")
        return value

    return AfterValidator(check)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
