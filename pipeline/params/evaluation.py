"""The sections of the judges and of evaluation."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from pipeline.params.base import Positive, QuotedPath, Section, Text

SearchName = Literal["numpy", "faiss"]


class JudgeParams(Section):
    clips: PositiveInt
    min_class_clips: PositiveInt
    width: Annotated[int, Field(gt=0, multiple_of=4)]
    steps: PositiveInt
    batch_clips: PositiveInt
    lr: Positive


class PretrainedParams(Section):
    weights: QuotedPath
    clips: PositiveInt


class EvaluateParams(Section):
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    real_clips: PositiveInt
    train_clips: PositiveInt
    samples: PositiveInt
    varied_captions: PositiveInt
    varied_samples: Annotated[int, Field(ge=2)]
    distractors: PositiveInt
    new_words: list[Text]
    search: SearchName
    resamples: PositiveInt
    pictures: PositiveInt
    pretrained: PretrainedParams
