"""What the validations of a run lead to: which generator was the best, and when there is no use in going on."""

import math
from typing import Any

from torch import Tensor

from pipeline.params import TrainParams, ValidationName
from pipeline.training.log import Row
from pipeline.training.step import Networks
from pipeline.training.validation import Validation

SIGNS: dict[ValidationName, float] = {"discrepancy": -1.0, "motion_direction": 1.0}  # 1: the larger the better
EXPORTED = ("average", "discriminator")
Weights = dict[str, dict[str, Tensor]]


class Watch:
    """Remembers the best of a run by `train.validation.metric`, with its weights where `train.export` asks for them."""

    def __init__(self, params: TrainParams, validation: Validation | None) -> None:
        self._metric, self._patience = params.validation.metric, params.validation.patience
        self._keeps = params.export == "best"
        self._validation = validation
        self._best, self._clips, self._since = math.nan, 0, 0  # since: validations after the best one
        self._weights: Weights = {}

    @property
    def exhausted(self) -> bool:
        """Whether so many validations brought nothing better that the run should end."""
        return self._patience is not None and self._since >= self._patience

    def __str__(self) -> str:
        return f"best {self._metric} {self._best:.4g} after {self._clips} clips"

    def look(self, clips_seen: int, nets: Networks) -> Row:
        """Figures for the row of the history; none where there is no validation."""
        row = {} if self._validation is None else self._validation.measure(nets)
        value = row.get(f"val/{self._metric}")
        if value is None:
            return row
        if math.isnan(self._best) or (value - self._best) * SIGNS[self._metric] > 0:
            self._best, self._clips, self._since = value, clips_seen, 0
            if self._keeps:
                self._weights = {name: _copied(getattr(nets, name).state_dict()) for name in EXPORTED}
        else:
            self._since += 1
        return row

    def choose(self, clips_seen: int, nets: Networks) -> int:
        """Give the networks the weights that `train.export` asks for -> the clips that they had been shown."""
        for name, weights in self._weights.items():
            getattr(nets, name).load_state_dict(weights)
        return self._clips if self._weights else clips_seen

    def state(self) -> dict[str, Any]:
        return {"best": self._best, "clips": self._clips, "since": self._since, "weights": self._weights}

    def load(self, state: dict[str, Any]) -> None:
        self._best, self._clips, self._since = state["best"], state["clips"], state["since"]
        self._weights = state["weights"]


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, where they lie until they are needed."""
    return {name: value.detach().cpu().clone() for name, value in weights.items()}
