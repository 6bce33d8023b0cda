"""The axes of a sweep, over keys of params.yaml, and the points that their values form."""

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
DIGITS = 4  # significant digits of a number drawn from a range
WEIGHT = "weight"  # column for mappings such as train.penalties: the number that all their names have
TRIES = 100  # draws per point, to find a new one
Values = dict[str, Any]  # a point: dotted key -> value


@dataclass(frozen=True)
class Choices:
    """A key and its possible values."""

    key: str
    values: tuple[Any, ...]

    def ends(self) -> tuple[Any, ...]:
        """The values to try whether the key takes them."""
        return self.values

    def draw(self, rng: random.Random) -> Any:
        return rng.choice(self.values)


@dataclass(frozen=True)
class Range:
    """A key and a range of numbers; integers if both bounds are."""

    key: str
    low: float
    high: float
    log: bool  # whether the logarithm is drawn uniformly

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
        """The number as written to params.yaml."""
        return round(value) if self.whole else min(self.high, max(self.low, float(f"{value:.{DIGITS}g}")))


Axis = Choices | Range


def read_axes(arguments: Sequence[str]) -> list[Axis]:
    """The axes of `KEY=VALUE,VALUE` and `KEY=LOW..HIGH`. Raises UserError for invalid axes and repeated keys."""
    axes = [_read_axis(argument) for argument in arguments]
    keys = [axis.key for axis in axes]
    if len(set(keys)) != len(keys):
        raise UserError(f"{max(keys, key=keys.count)} is given twice; write its values in one list: KEY=1,2")
    return axes


def combine(axes: Sequence[Axis]) -> list[Values]:
    """All combinations of the values. Raises UserError if an axis is a range."""
    for axis in axes:
        if isinstance(axis, Range):
            raise UserError(f"{axis.key} is a range; say how many points to draw from it: --points 20")
    return list(_combine(axes))


def draw_points(axes: Sequence[Axis], count: int, seed: int) -> list[Values]:
    """Distinct points drawn at random, deterministic in `seed`; fewer than `count` if there are no more."""
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
    """Raises UserError if a combination of values, or of the bounds of ranges, is invalid in the params `tree`."""
    for point in _combine(axes):
        check_point(point, tree)


def check_point(point: Mapping[str, Any], tree: Any) -> None:
    """Raises UserError if the values of a point are invalid in the params `tree`."""
    changed = copy.deepcopy(tree)
    put_values(changed, point)
    check_params(changed, f"params.yaml with {show_point(point)}")


def put_values(tree: Any, point: Mapping[str, Any]) -> None:
    """Set the values of a point in the tree. Raises UserError if a section of a key is a value."""
    for key, value in point.items():
        *sections, last = key.split(".")
        subtree = tree
        for section in sections:
            subtree = subtree.setdefault(section, {})
            if not isinstance(subtree, dict):
                raise UserError(f"{key}: {section} is a value, no section; see params.yaml")
        subtree[last] = value


def lay_out(points: Mapping[int, Values]) -> dict[int, Values]:
    """The points sorted by their values, for display.

    If the values of a key are mappings to equal numbers, they are split into names and number: `{r1: 5.0, r2: 5.0}`
    becomes `r1+r2` and a `weight` of 5.0. The empty mapping is `none`, without a weight.
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
    """The keys of all points; not every point has all keys."""
    return list(dict.fromkeys(key for point in points.values() for key in point))


def _are_weights(values: Sequence[Any]) -> bool:
    """Whether the values are mappings, each with equal numbers."""
    return (
        all(isinstance(value, dict) for value in values)
        and any(values)
        and all(all(map(is_number, value.values())) and len(set(value.values())) <= 1 for value in values)
    )


def _rank(values: Sequence[Any]) -> dict[str, int]:
    """The ranks of values, by their repr: numbers sorted, others in order of occurrence."""
    ordered = sorted(values) if all(map(is_number, values)) else values
    return {shown: index for index, shown in enumerate(dict.fromkeys(map(repr, ordered)))}


def _combine(axes: Sequence[Axis]) -> Iterator[Values]:
    keys = [axis.key for axis in axes]
    return (dict(zip(keys, values, strict=True)) for values in itertools.product(*(axis.ends() for axis in axes)))


def _read_axis(argument: str) -> Axis:
    key, equals, text = argument.partition("=")
    if not (equals and text and all(key.split("."))):
        raise UserError(f"{argument!r} is not an axis; write KEY=VALUE,VALUE such as train.penalties.r1=0.1,1,10")
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
            raise UserError(f"{argument!r}: {end} is not a number; write KEY=0.1..10.0, and 2.0e-4 for 2e-4")
    if not low < high:
        raise UserError(f"{argument!r}: the range is empty; write the smaller number first")
    if found["log"] and low <= 0:
        raise UserError(f"{argument!r}: {low} has no logarithm; let the range begin above 0, or leave out :log")
    return Range(key, low, high, bool(found["log"]))


def _read_end(text: str) -> Any:
    """A bound of a range, parsed as YAML; the text itself if it is not YAML."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
