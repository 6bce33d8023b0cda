"""Does each metric move as its planted control demands? One that does not is withdrawn from the report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scipy.stats import binom

from pipeline.evaluation.intervals import Figure
from pipeline.evaluation.pretrained_metrics import DISTANCES, ORDERED
from pipeline.judges.classes import Prompt

Table = Mapping[str, Mapping[str, Figure]]  # set of clips -> metric -> figure
CAUGHT, GONE = 0.9, 0.1
REAL = "real test"
SECOND = "real val"  # a second real sample: what a perfect generator would get
CHANCE = "shuffled captions"  # what is right by chance alone
ABSENT = Figure(None)
UNLIKELY = 0.001  # chance that guesses pass for sight; that of any honest metric to be withdrawn for a lucky deal
MOTION = {"motion_direction": 0.25}  # by chance, since a movement anywhere is within 45 degrees of a quarter of all


class Rule(NamedTuple):
    """`metric` of the set `control` must lie on one side of a limit."""

    metric: str
    control: str
    side: str  # "below" or "above"
    limit: float
    of_real: bool = False  # the limit is a share of what real clips get, above it of the upper end of their interval


class Check(NamedTuple):
    """What became of a rule; `passed` is None where the metric or the control is not there to be tried."""

    metric: str
    control: str
    demand: str
    found: float | None
    passed: bool | None


RULES = (
    Rule("motion_direction", "frozen", "below", GONE),
    Rule("motion_direction", "backwards", "below", GONE),
    Rule("static_share", "frozen", "above", CAUGHT),
    Rule("flicker", "shuffled frames", "above", 1.5, of_real=True),
    Rule("flicker", "frozen", "below", GONE),
    Rule("mmd", "mean clip", "above", 1.0, of_real=True),
    Rule("mmd", "shuffled frames", "above", 1.0, of_real=True),
    Rule("frechet", "mean clip", "above", 1.0, of_real=True),
    Rule("frechet", "shuffled frames", "above", 2.0, of_real=True),
    Rule("frechet_at_infinity", "shuffled frames", "above", 2.0, of_real=True),
    Rule("precision", "shuffled frames", "below", 0.8, of_real=True),
    Rule("density", "shuffled frames", "below", 0.8, of_real=True),
    Rule("coverage", "shuffled frames", "below", 0.8, of_real=True),
    Rule("recall", "frozen", "below", 0.8, of_real=True),
    Rule("diversity", "mean clip", "below", GONE),
    Rule("diversity_pixels", "mean clip", "below", GONE),
    Rule("copy_rate", "train copy", "above", CAUGHT),
    Rule("copy_rate", "noisy train copy", "above", CAUGHT),
    Rule("copy_rate_pixels", "noisy train copy", "above", CAUGHT),
    Rule("copy_rate_features", "train copy", "above", CAUGHT),
    Rule("copy_rate_flows", "train copy", "above", CAUGHT),
    *(Rule(name, "mean clip", "above", 1.0, of_real=True) for name in DISTANCES),
    *(
        Rule(name, "shuffled frames", "above", 1.0, of_real=True)
        for name, one in DISTANCES.items()
        if one.network in ORDERED
    ),
    Rule("clip_similarity", CHANCE, "below", 0.98, of_real=True),
)


def check(table: Table, prompts: Sequence[Prompt], distractors: int) -> list[Check]:
    """Every demand on the figures of the controls; real clips showed `prompts` and met so many wrong captions each."""
    chances = _chances(prompts, distractors)
    tried = [_tried(rule, table) for rule in RULES]
    tried += [_at_chance(name, chance, table, UNLIKELY / len(chances)) for name, chance in chances.items()]
    return tried + [_beyond_chance(name, chance, table) for name, chance in (chances | MOTION).items()]


def _tried(rule: Rule, table: Table) -> Check:
    figure = table.get(rule.control, {}).get(rule.metric, ABSENT)
    real = table.get(SECOND, {}).get(rule.metric, ABSENT)
    unit = (real.value if rule.side == "below" else real.high) if rule.of_real else 1.0
    if figure.value is None or unit is None:
        return Check(rule.metric, rule.control, rule.side, figure.value, None)
    limit = rule.limit * unit
    passed = figure.value <= limit if rule.side == "below" else figure.value >= limit
    return Check(rule.metric, rule.control, f"{rule.side} {limit:.3g}", figure.value, passed)


def _at_chance(metric: str, chance: float, table: Table, error: float) -> Check:
    """Clips with each other's captions must not be right more often than chance makes them, once in 1 / `error`."""
    found = table.get(CHANCE, {}).get(metric, ABSENT)
    passed = None if found.value is None else _by_chance(found, chance) >= error
    return Check(metric, CHANCE, f"at chance, {chance:.3g}", found.value, passed)


def _beyond_chance(metric: str, chance: float, table: Table) -> Check:
    """Real clips must be right more often than chance makes them: else nobody sees there what the metric asks for."""
    found = table.get(REAL, {}).get(metric, ABSENT)
    passed = None if found.value is None or chance == 1 else _by_chance(found, chance) < UNLIKELY
    return Check(metric, REAL, f"beyond chance, {chance:.3g}", found.value, passed)


def _by_chance(found: Figure, chance: float) -> float:
    """How probably at least as many of so many clips are right, each by this chance."""
    right = round((found.value or 0.0) * found.clips)
    return float(binom.sf(right - 1, found.clips, chance))


def withdrawn(checks: Sequence[Check]) -> set[str]:
    """The metrics that their controls do not move."""
    return {check.metric for check in checks if check.passed is False}


def _chances(prompts: Sequence[Prompt], distractors: int) -> dict[str, float]:
    """What captions dealt out anew get by chance, by metric; a clip may be dealt its own meaning again."""
    answers: dict[str, list[object]] = {
        "object_accuracy": [prompt.object for prompt in prompts if prompt.object >= 0],
        "category_accuracy": [prompt.category for prompt in prompts if prompt.category >= 0],
        "joint_accuracy": [(p.object, p.category) for p in prompts if min(p.object, p.category) >= 0],
    }
    own = _again([prompt.meaning for prompt in prompts])
    ranked = {f"r_precision_at_{best}": own + (1 - own) * min(best / (1 + distractors), 1) for best in (1, 2, 3)}
    ranked["clip_r_precision_at_1"] = ranked["r_precision_at_1"]
    return {name: _again(wanted) for name, wanted in answers.items()} | ranked


def _again(wanted: Sequence[object]) -> float:
    """How probably two of these, drawn with return, are the same; 1 of none."""
    return sum(count**2 for count in Counter(wanted).values()) / len(wanted) ** 2 if wanted else 1.0


def scaled(value: float | None, floor: float | None, ceiling: float | None) -> float | None:
    """A figure on the scale from nothing (0) to as good as real clips (1); None where the ends are absent or equal."""
    if value is None or floor is None or ceiling is None or floor == ceiling:
        return None
    return (value - floor) / (ceiling - floor)
