"""What the sections of params.yaml are made of."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
REFERENCE = r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*"  # to a user's own code: package.module:object


def _fits_between_quotes(path: str) -> str:
    if "'" in path:
        raise ValueError(
            f"{path!r} has an apostrophe, which would end it in the commands of dvc.yaml; rename or link it"
        )
    return path


QuotedPath = Annotated[Text, AfterValidator(_fits_between_quotes)]  # of what dvc.yaml puts between apostrophes


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
