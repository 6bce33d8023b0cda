"""What a sweep varies: axes over keys of params.yaml, and the points that their values make."""

import copy
import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.errors import UserError
from pipeline.params import check_params, show_value

RANGE = re.compile(r"(?P<low>[^\s,\[\]]+?)\.\.(?P<high>[^\s,\[\]:]+)(?P<log>:log)?")
DIGITS = 4  # of a number that is drawn from a range
WEIGHT = "weight"  # what is told of mappings such as train.penalties: the number that all their names have
TRIES = 100  # draws for one point that has not been drawn yet
Values = dict[str, Any]  # dotted key -> value: a point


@dataclass(frozen=True)
class Choices:
    """A key and the values that it may have."""

    key: str
    values: tuple[Any, ...]

    def ends(self) -> tuple[Any, ...]:
        """The values to try whether the key takes them."""
        return self.values

    def draw(self, rng: random.Random) -> Any:
        return rng.choice(self.values)


@dataclass(frozen=True)
class Range:
    """A key and the numbers that lie between its bounds, whole ones where both bounds are whole."""

    key: str
    low: float
    high: float
    log: bool  # whether it is drawn evenly by its logarithm

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def ends(self) -> tuple[Any, ...]:
        """The values to try whether the key takes them."""
        return self.low, self.high

    def draw(self, rng: random.Random) -> Any:
        if self.whole and not self.log:
            return rng.randint(int(self.low), int(self.high))
        ends = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        drawn = rng.uniform(*ends)
        return self.round(math.exp(drawn) if self.log else drawn)

    def round(self, value: float) -> float:
        """The number as it is written into params.yaml."""
        return round(value) if self.whole else min(self.high, max(self.low, float(f"{value:.{DIGITS}g}")))


Axis = Choices | Range


def read_axes(arguments: Sequence[str]) -> list[Axis]:
    """The axes of `KEY=VALUE,VALUE` and `KEY=LOW..HIGH`. Raises UserError for what is none, and a key given twice."""
    axes = [_read_axis(argument) for argument in arguments]
    keys = [axis.key for axis in axes]
    if len(set(keys)) != len(keys):
        raise UserError(f"{max(keys, key=keys.count)} is given twice; write its values in one list: KEY=1,2")
    return axes


def combine(axes: Sequence[Axis]) -> list[Values]:
    """All combinations of the values. Raises UserError where an axis is a range."""
    for axis in axes:
        if isinstance(axis, Range):
            raise UserError(f"{axis.key} is a range; say how many points to draw from it: --points 20")
    return list(_combine(axes))


def draw_points(axes: Sequence[Axis], count: int, seed: int) -> list[Values]:
    """Different points drawn at random, the same for the same arguments; fewer where there are no more."""
    rng = random.Random(seed)
    points: list[Values] = []
    for _ in range(count * TRIES):
        point = {axis.key: axis.draw(rng) for axis in axes}
        if point not in points:
            points.append(point)
        if len(points) == count:
            break
    return points


def check_axes(axes: Sequence[Axis], tree: Any) -> None:
    """Raises UserError where the params `tree` does not take a combination of the axes' values, or of their ends."""
    for point in _combine(axes):
        check_point(point, tree)


def check_point(point: Mapping[str, Any], tree: Any) -> None:
    """Raises UserError where the params `tree` does not take the values of a point."""
    changed = copy.deepcopy(tree)
    put_values(changed, point)
    check_params(changed, f"params.yaml with {show_point(point)}")


def put_values(tree: Any, point: Mapping[str, Any]) -> None:
    """Put the values of a point into the tree. Raises UserError where a key leads through a value."""
    for key, value in point.items():
        *sections, last = key.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise UserError(f"{key}: {section} is a value, no section; see params.yaml")
        place[last] = value


def lay_out(points: Mapping[int, Values]) -> dict[int, Values]:
    """The points in the order of their values, as a reader compares them.

    Where a key has mappings of equal numbers, each becomes its names and that number: of `{r1: 5.0, r2: 5.0}` the key
    is `r1+r2` and `weight` is 5.0. The empty one is `none` and has no weight.
    """
    split = {number: dict(point) for number, point in points.items()}
    mapped = [key for key in list_keys(points) if _are_weights([point.get(key) for point in points.values()])]
    for point in split.values():
        for key in mapped:
            names: Mapping[str, float] = point[key]
            point[key] = "+".join(names) or "none"
            point |= {WEIGHT if len(mapped) == 1 else f"{WEIGHT} of {key}": weight for weight in names.values()}
    ranks = {key: _rank([point[key] for point in split.values() if key in point]) for key in list_keys(split)}
    order = sorted(
        split, key=lambda number: [rank.get(repr(split[number].get(key)), -1) for key, rank in ranks.items()]
    )
    return {number: split[number] for number in order}


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def show_point(point: Mapping[str, Any]) -> str:
    """A point in one line."""
    return " ".join(f"{key}={show_value(value)}" for key, value in point.items())


def list_keys(points: Mapping[int, Values]) -> list[str]:
    """What points differ in; not every point has all of it."""
    return list(dict.fromkeys(key for point in points.values() for key in point))


def _are_weights(values: Sequence[Any]) -> bool:
    """Whether the values are mappings, each of them to one number, whatever its names."""
    return (
        all(isinstance(value, dict) for value in values)
        and any(values)
        and all(all(map(is_number, value.values())) and len(set(value.values())) <= 1 for value in values)
    )


def _rank(values: Sequence[Any]) -> dict[str, int]:
    """The places of values: of numbers by their size, of others as they come."""
    ordered = sorted(values) if all(map(is_number, values)) else values
    return {shown: index for index, shown in enumerate(dict.fromkeys(map(repr, ordered)))}


def _combine(axes: Sequence[Axis]) -> Iterator[Values]:
    keys = [axis.key for axis in axes]
    return (dict(zip(keys, values, strict=True)) for values in itertools.product(*(axis.ends() for axis in axes)))


def _read_axis(argument: str) -> Axis:
    key, equals, text = argument.partition("=")
    if not (equals and text and all(key.split("."))):
        raise UserError(f"{argument!r} is no axis; write KEY=VALUE,VALUE such as train.penalties.r1=0.1,1,10")
    if found := RANGE.fullmatch(text):
        return _read_range(argument, key, found)
    try:
        values: list[Any] = yaml.safe_load(f"[{text}]")
    except yaml.YAMLError:
        raise UserError(f"{argument!r}: the values are not a list of YAML values; put brackets in quotes") from None
    if any(value in values[:index] for index, value in enumerate(values)):
        raise UserError(f"{argument!r}: a value is given twice")
    return Choices(key, tuple(values))


def _read_range(argument: str, key: str, found: re.Match[str]) -> Range:
    low, high = (_read_end(found[name]) for name in ("low", "high"))
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
            raise UserError(f"{argument!r}: {end} is no number; write KEY=0.1..10.0, and 2.0e-4 for 2e-4")
    if not low < high:
        raise UserError(f"{argument!r}: the range is empty; write the smaller number first")
    if found["log"] and low <= 0:
        raise UserError(f"{argument!r}: {low} has no logarithm; let the range begin above 0, or leave out :log")
    return Range(key, low, high, bool(found["log"]))


def _read_end(text: str) -> Any:
    """The end of a range as YAML reads it; the text itself where it is no YAML."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
