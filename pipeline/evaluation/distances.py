"""How far two sets of clips differ: distances in the features of a judge, classifier two-sample tests, and motion.

Features are float64 [N,F]. Tests compare the distances with the formulas of the papers and with the package prdc.

A two-sample test asks whether a small network can learn to tell generated clips from real ones, by two-fold
cross-validation; its accuracy for a perfect generator is 0.5. Lopez-Paz & Oquab 2017, "Revisiting Classifier Two-Sample
Tests", arXiv:1610.06545. One test sees single frames, so not their order; the other sees optical flow only, so not the
appearance.

Motion is compared by histograms of velocity and of acceleration, as in Liu et al. 2024, "Frechet Video Motion
Distance", arXiv:2407.16124. Ours are of dense flow, and are compared by the energy distance, which is unbiased and
therefore works for the few clips of a category. Szekely & Rizzo 2013, "Energy statistics".
"""

import itertools
import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.spatial.distance import cdist
from torch import Tensor, nn

from pipeline.evaluation.controls import (
    BACKWARDS,
    FASTER,
    FROZEN,
    OTHER_CATEGORY,
    SHUFFLED,
    Limit,
)
from pipeline.evaluation.intervals import Figure
from pipeline.evaluation.measured_clips import Floats, Ints, MeasuredClips
from pipeline.evaluation.metric import DISTANCE_SCALE, SAME, Reference, SetMetric, compare_with_real, measure_distance
from pipeline.measures import GRID, STILL, Features
from pipeline.records import Frames

SEEN_FRAMES = 4  # of each clip
LONGEST_SIDE = 64  # pixels, of the frames that the network sees
LARGEST_FLOW = 4.0  # in standard deviations of real clips; larger values are clipped
STEPS, BATCH, RATE, DECAY = 400, 32, 2e-3, 1e-2  # STEPS is the maximum
SETTLED, LOOK = 0.01, 20  # training stops at a mean loss below SETTLED over LOOK steps
MIN_TWO_SAMPLE_CLIPS = 40  # clips on either side, half of which are trained on

Images = NDArray[np.float32]  # [N,S,C,H,W]: S images of each clip

NEIGHBOUR = 5  # k of precision, recall, density and coverage
WIDEST = 2.0  # radius of the ball around a real clip, relative to the median
MIN_DISTANCE_CLIPS = 4 * NEIGHBOUR  # clips on either side; with fewer no distance is given
COMPONENTS = 16  # principal components that a Frechet distance compares
MIN_FRECHET_CLIPS = 3 * COMPONENTS  # clips on either side; fewer estimate this many variances badly
POINTS, ORDERS = 6, 4  # points of the line that is extrapolated, and random subsets of fakes per point

MIN_OF_CATEGORY = 10  # clips on either side
ONE_WAY = 0.5  # share of the motion of a category; back-and-forth motion is the same when reversed


def read_frames(clips: MeasuredClips, count: int) -> Images:
    """A few frames of each of the first `count` clips, in [-1,1]: [N,S,3,H,W]."""
    return clips.keep((read_frames, count), lambda clips: np.stack([_resize(clip) for clip in clips.frames[:count]]))


def read_motion(clips: MeasuredClips, count: int) -> Images:
    """The flow of each of the first `count` clips as one image: [N,1,2*(T-1),H,W]."""
    return clips.flow_pictures[:count, None]


def _resize(clip: Frames) -> Images:
    chosen = np.linspace(0, len(clip) - 1, min(SEEN_FRAMES, len(clip))).round().astype(int)
    scale = min(LONGEST_SIDE / max(clip.shape[1:3]), 1.0)
    size = max(round(clip.shape[2] * scale), 8), max(round(clip.shape[1] * scale), 8)
    resized = [cv2.resize(clip[index], size, interpolation=cv2.INTER_AREA) for index in chosen]
    pictures: Images = np.asarray(resized, np.float32).transpose(0, 3, 1, 2) * (2 / 255) - 1
    return pictures


def judge_two_samples(real: Images, fake: Images, seed: int) -> Floats:
    """Whether the network not trained on a clip classifies it correctly: 0 or 1 [2N], for N clips on either side."""
    scale = float(real.std()) or 1.0
    clips = torch.from_numpy(np.concatenate((real, fake)) / scale).clamp(-LARGEST_FLOW, LARGEST_FLOW)
    labels = torch.cat((torch.ones(len(real)), torch.zeros(len(fake))))
    halves = torch.arange(len(clips)) % len(real) % 2  # a clip and the control made from it are in the same half
    right = torch.zeros(len(clips))
    for half in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + half)
            network = _train(clips[halves == half], labels[halves == half])
        with torch.inference_mode():
            answers = _answer(network, clips[halves != half])
        right[halves != half] = ((answers > 0) == (labels[halves != half] > 0)).float()
    return right.double().numpy()


def _train(clips: Tensor, labels: Tensor) -> nn.Module:
    """Train a network until its loss is low: after that few predictions on other clips change (0.025 of them)."""
    network = _build_network(clips.shape[2])
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
    sides = [torch.nonzero(labels == side).flatten() for side in (0, 1)]
    losses: deque[Tensor] = deque(maxlen=LOOK)
    for step in range(STEPS):
        rows = torch.cat([side[torch.randint(len(side), (BATCH // 2,))] for side in sides])
        shown = clips[rows, torch.randint(clips.shape[1], (len(rows),))]
        loss = F.binary_cross_entropy_with_logits(network(shown).flatten(), labels[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        optimizer.step()
        losses.append(loss.detach())
        if step % LOOK == LOOK - 1 and torch.stack(list(losses)).mean() < SETTLED:
            break
    return network


def _build_network(channels: int) -> nn.Module:
    widths = [channels, 32, 48, 64]
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.GroupNorm(4, outputs), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 1))


def _answer(network: nn.Module, clips: Tensor) -> Tensor:
    """The mean logit of each clip's images."""
    logits: Tensor = network(clips.flatten(0, 1)).view(clips.shape[:2])
    return logits.mean(dim=1)


def frechet(real: Features, fake: Features) -> float:
    """Squared Frechet distance of two normal distributions fitted to the sets. Heusel et al. 2017, arXiv:1706.08500."""
    difference = real.mean(axis=0) - fake.mean(axis=0)
    a, b = _factor(real), _factor(fake)
    # With covariances a'a and b'b, the trace of the square root of their product is the nuclear norm of ab'. Without a
    # matrix square root, singular covariances are no problem.
    return float(difference @ difference + (a**2).sum() + (b**2).sum() - 2 * np.linalg.norm(a @ b.T, "nuc"))


def _factor(features: Features) -> Features:
    """An upper triangular r with r'r the covariance."""
    centred = (features - features.mean(axis=0)) / math.sqrt(len(features) - 1)
    factor: Features = qr(centred, mode="r")[0]
    return factor


def frechet_at_infinity(real: Features, fake: Features) -> float:
    """The Frechet distance extrapolated to infinitely many fakes, for the given reals.

    It is linear in 1/n. Chong & Forsyth 2020, arXiv:1911.07023.
    """
    generator = np.random.default_rng(len(fake))
    counts = np.linspace(len(fake) // 2, len(fake), POINTS).astype(int)
    distances = [
        np.mean([frechet(real, fake[generator.permutation(len(fake))[:count]]) for _ in range(ORDERS)])
        for count in counts
    ]
    return limit_of_line(counts, np.array(distances))


def limit_of_line(counts: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """The limit at infinite counts of a line in 1/count fitted to these values."""
    _, limit = np.polyfit(1 / counts, values, 1)
    return float(limit)


def project_pca(real: Features, fake: Features) -> tuple[Features, Features]:
    """Both sets projected on their joint principal components, in units of the total deviation of `real`.

    The components of `real` alone would miss directions in which only the fakes vary.
    """
    centre = real.mean(axis=0)
    _, _, directions = np.linalg.svd(np.concatenate((real, fake)) - centre, full_matrices=False)
    scale = math.sqrt((real - centre).var(axis=0).sum()) or 1.0
    axes = directions[:COMPONENTS].T / scale
    return (real - centre) @ axes, (fake - centre) @ axes


def measure_energy_distance(real: Features, fake: Features) -> float:
    """Unbiased energy distance, in units of the mean distance of two real clips; 0 for equal distributions.

    Szekely & Rizzo 2013, "Energy statistics: A class of statistics based on distances".
    """
    own = mean_distance(real)
    return (2 * float(cdist(real, fake).mean()) - own - mean_distance(fake)) / (own or 1.0)


class Prdc(NamedTuple):
    precision: float
    recall: float
    density: float
    coverage: float


def compute_prdc(real: Features, fake: Features) -> Prdc:
    """Precision, recall, density and coverage, from balls that reach to the 5th nearest neighbour.

    Kynkaanniemi et al. 2019, arXiv:1904.06991; Naeem et al. 2020, arXiv:2002.09797.
    """
    between = cdist(real, fake)
    real_reach, fake_reach = _reach(real), _reach(fake)
    in_real = between < real_reach[:, None]
    return Prdc(
        precision=float(in_real.any(axis=0).mean()),
        recall=float((between < fake_reach[None, :]).any(axis=1).mean()),
        density=float(in_real.sum(axis=0).mean() / NEIGHBOUR),
        coverage=float((between.min(axis=1) < real_reach).mean()),
    )


def explain_outliers(real: Features) -> str:
    """Why balls around real clips are meaningless: an outlier's contains nearly everything; empty if none does."""
    reach = _reach(real)
    width = float(reach.max() / (np.median(reach) or 1.0))
    if width <= WIDEST:
        return ""
    return f"a real clip is so far from all others that its ball is {width:.1f} times as wide as most; see density"


def _reach(features: Features) -> NDArray[np.float64]:
    """The distance of each row from its 5th nearest neighbour: [N]."""
    reach: NDArray[np.float64] = np.partition(cdist(features, features), NEIGHBOUR, axis=1)[:, NEIGHBOUR]
    return reach


def mean_distance(features: Features) -> float:
    """The mean distance between two rows; 0 for fewer than two."""
    count = len(features)
    return float(cdist(features, features).sum() / (count * (count - 1))) if count > 1 else 0.0


def _measure_sets(clips: MeasuredClips, reference: Reference, count: int) -> Figure:
    real, fake = (side.velocities[:count] for side in (reference.real, clips))
    return measure_distance(measure_energy_distance, *_scale(real, fake), reference)


def _measure_categories(clips: MeasuredClips, reference: Reference) -> Figure:
    """The distance between the clips of a category and the real ones, averaged with the numbers of clips as weights."""
    if clips is reference.real:
        return Figure(None, reason=SAME)
    real, fake = _group_by_category(reference.real), _group_by_category(clips)
    known = [name for name in fake if min(len(fake[name]), len(real.get(name, ()))) >= MIN_OF_CATEGORY]
    if not known:
        most = max((min(len(fake[name]), len(real.get(name, ()))) for name in fake), default=0)
        detail = f"{most} clips of a category on either side, {MIN_OF_CATEGORY} are needed"
        return Figure(None, clips=most, reason=detail)
    a, b = _scale(reference.real.velocities, clips.velocities)
    of_row = np.full(len(clips), -1)
    for name in known:
        of_row[fake[name]] = name
    rows = np.flatnonzero(of_row >= 0)

    def between(_: Floats, chosen: Floats) -> float:
        """`chosen` [N,2V+1]: histograms, and the category in the last column."""
        own = chosen[:, -1].astype(int)
        parts = [measure_energy_distance(a[real[name]], chosen[own == name, :-1]) for name in known]
        return float(np.average(parts, weights=[(own == name).sum() for name in known]))

    return measure_distance(between, a, np.column_stack((b, of_row))[rows], reference)


def _scale(real: Floats, fake: Floats) -> tuple[Floats, Floats]:
    """Velocities and their changes [N,2,V] concatenated [N,2V], each in units of the real ones' total deviation."""
    scale = np.sqrt(real.var(axis=0).sum(axis=1, keepdims=True))
    scale = np.where(scale > 0, scale, 1.0)
    a, b = ((side / scale).reshape(len(side), -1) for side in (real, fake))
    return a, b


def _group_by_category(clips: MeasuredClips) -> Mapping[int, Ints]:
    """The rows of each category that is a class of the judge."""
    categories = np.array([prompt.category for prompt in clips.prompts])
    return {int(name): np.flatnonzero(categories == name) for name in np.unique(categories) if name >= 0}


def explain_both_ways(real: MeasuredClips) -> str:
    """Why reversed real clips need not have a larger distance: their motion goes both ways; empty if it does not."""
    share = measure_one_way(real)
    if share >= ONE_WAY:
        return ""
    return f"real clips of a category move both ways: {share:.2f} of their movement is one-way, {ONE_WAY} is needed"


def measure_one_way(clips: MeasuredClips) -> float:
    """The share of the motion that the clips of a category have in common and that reverses when they play backwards.

    1 if all move alike in one direction; 0 if motion returns to its start, or half of the clips go the other way.
    """
    flows = clips.flows.reshape(len(clips), -1, 2 * GRID**2)  # [N,P,...]
    turned = (flows + flows[:, ::-1]) / 2  # played backwards, the order of the parts and the vectors are reversed
    large = [rows for rows in _group_by_category(clips).values() if len(rows) >= MIN_OF_CATEGORY]
    lengths = [_measure_length(flows[rows]).mean() for rows in large]
    if max(lengths, default=0.0) <= STILL * clips.frames.shape[2]:
        return 0.0
    shares = [_measure_length(turned[rows].mean(axis=0, keepdims=True))[0] for rows in large]
    counts = [len(rows) for rows in large]
    return float(np.dot(shares, counts) / np.dot(lengths, counts))


def _measure_length(flows: NDArray[np.float64]) -> Floats:
    length: Floats = np.sqrt((flows**2).sum(axis=(1, 2)))
    return length


def _require_above_real(*controls: str) -> tuple[Limit, ...]:
    return tuple(Limit(name, "above", 1.0, of_real=True) for name in controls)


MOTION_METRICS: dict[str, SetMetric] = {
    "motion_distance": SetMetric(
        figure=compare_with_real(_measure_sets, MIN_DISTANCE_CLIPS),
        requirements=_require_above_real(FROZEN, SHUFFLED, FASTER),
        scale=DISTANCE_SCALE,
    ),
    "motion_distance_by_category": SetMetric(
        figure=_measure_categories,
        requirements=(
            *_require_above_real(FROZEN, SHUFFLED, FASTER, OTHER_CATEGORY),
            Limit(BACKWARDS, "above", 1.0, of_real=True, unless=explain_both_ways),
        ),
        scale=DISTANCE_SCALE,
    ),
}
