"""The points of a sweep: `a.b=1,2 c=x,y` -> all four combinations, each checked before anything starts."""

import copy
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.errors import UserError
from pipeline.params import check_params


@dataclass(frozen=True)
class Point:
    """One combination: pairs of a dotted key of params.yaml and its value."""

    values: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.values)

    def overrides(self) -> list[str]:
        """The point as arguments of `dvc exp run`. JSON is quoted as its grammar wants; `++` also adds a new key."""
        settings = [f"++{key}={json.dumps(value, ensure_ascii=False)}" for key, value in self.values]
        return [word for setting in settings for word in ("-S", setting)]


def read_points(arguments: Sequence[str], tree: Any) -> list[Point]:
    """All combinations of the arguments' values over the params `tree`. Raises UserError for a value it refuses."""
    axes = [_read_axis(argument) for argument in arguments]
    keys = [key for key, _ in axes]
    if len(set(keys)) != len(keys):
        raise UserError(f"{max(keys, key=keys.count)} is given twice; write its values in one list: KEY=1,2")
    combinations = itertools.product(*(values for _, values in axes))
    points = [Point(tuple(zip(keys, values, strict=True))) for values in combinations]
    for point in points:
        check_params(_changed(tree, point), f"params.yaml with {point}")
    return points


def _read_axis(argument: str) -> tuple[str, list[Any]]:
    key, equals, text = argument.partition("=")
    if not (equals and text and all(key.split("."))):
        raise UserError(f"{argument!r} is no axis; write KEY=VALUE,VALUE such as train.penalties.r1=0.1,1,10")
    try:
        values: list[Any] = yaml.safe_load(f"[{text}]")
    except yaml.YAMLError:
        raise UserError(f"{argument!r}: the values are not a list of YAML values; put brackets in quotes") from None
    if any(isinstance(value, dict) for value in values):
        raise UserError(f"{argument!r}: `-S` would mix sections instead of replacing them; name the key within")
    if any(value in values[:place] for place, value in enumerate(values)):
        raise UserError(f"{argument!r}: a value is given twice")
    return key, values


def _changed(tree: Any, point: Point) -> Any:
    changed = copy.deepcopy(tree)
    for key, value in point.values:
        *sections, last = key.split(".")
        place = changed
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise UserError(f"{key}: {section} is a value, no section; see params.yaml")
        place[last] = value
    return changed
