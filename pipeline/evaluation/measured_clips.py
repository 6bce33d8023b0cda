"""Measurements of a set of clips by the judge, by optical flow and in pixels, computed on demand and cached."""

import math
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.dataset import pad
from pipeline.judges import Judge, Prompt
from pipeline.measures import (
    STILL,
    Flow,
    average_parts,
    make_thumbnails,
    measure_energy,
    measure_flow,
    measure_jerk,
    measure_laplacian_energies,
    measure_movement,
)
from pipeline.pretrained.networks import Network
from pipeline.records import Frames

EDGE = 2  # pixels cropped on each side of thumbnails, so that clips shifted by up to as many still overlap

TIE = 1e-6  # cosines in float32 that differ by less may be equal

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CELLS = 16  # per side, of the flow images
REGIONS = 4  # per side, of the velocity histograms
HALVES = 2  # of the clip's duration, of the velocity histograms


class ClipSet(NamedTuple):
    """Clips uint8 [N,T,H,W,3] and their prompts."""

    frames: Frames
    prompts: Sequence[Prompt]


class CaptionBank(NamedTuple):
    """One prompt of each meaning, and the number of wrong captions that a clip's own caption is ranked against."""

    prompts: Sequence[Prompt]
    distractors: int

    def rank(self, own: Tensor, cosines: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        """For each clip, how many of `distractors` captions of other meanings have a larger cosine than its own: [N].

        `own` [N] are the cosines with its own caption, `cosines` [N,K] those with the captions of the bank. nan if the
        bank has fewer than `distractors` captions of other meanings. A tie counts as larger for some clips and not for
        others, by the number of the clip: a judge to which all captions are equal ranks them by chance.
        """
        meanings = torch.tensor([prompt.meaning for prompt in self.prompts])
        ranks: list[float] = []
        for row, prompt in enumerate(prompts):
            # Distractors are deterministic: a window of the bank whose start depends on the clip.
            start = prompt.meaning * 7 + row
            others = (torch.arange(len(self.prompts)) + start) % len(self.prompts)
            others = others[meanings[others] != prompt.meaning][: self.distractors]
            lead = cosines[row, others] - own[row]
            better, ties = int((lead > TIE).sum()), int((lead.abs() <= TIE).sum())
            ranks.append(better + row % (ties + 1) if len(others) == self.distractors else math.nan)
        return torch.tensor(ranks, dtype=torch.float64)


class MeasuredClips:
    """N clips and their measurements, each of which has one row per clip, in the order of `prompts`.

    Measurements are computed on first access and cached. `frames` are uint8 [N,T,H,W,3]; metrics compute their own
    measurements of them with `measure_each`.
    """

    def __init__(self, clips: ClipSet, judge: Judge | None = None, bank: CaptionBank | None = None) -> None:
        self.frames, self.prompts = clips
        self._judge, self._bank = judge, bank
        self._parts: tuple[MeasuredClips, ...] = ()
        self._known: dict[Hashable, NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self.frames)

    def measure_each(self, measure: Callable[[Frames], Any]) -> Floats:
        """`measure` of each clip uint8 [T,H,W,3], a number or an array: [N] or [N,...]. Cached by function."""
        return self.keep(measure, lambda clips: np.array([measure(clip) for clip in clips.frames], np.float64))

    def keep(self, key: Hashable, measure: Callable[["MeasuredClips"], NDArray[Any]]) -> NDArray[Any]:
        """The result of `measure` for this set, a row for each clip; cached by `key`."""
        if key not in self._known:
            parts = [part.keep(key, measure) for part in self._parts]
            self._known[key] = np.concatenate(parts) if parts else measure(self)
        return self._known[key]

    def extract(self, network: Network, most: int) -> Floats:
        """Features [N,F] of the first `most` clips by a pretrained network; cached."""
        key = (network, most)
        if key not in self._known:
            self._known[key] = network.extract_all(self.frames[:most])
        return self._known[key]

    def join(self, other: "MeasuredClips") -> "MeasuredClips":
        """The clips of both sets; measurements of either are reused."""
        clips = ClipSet(np.concatenate((self.frames, other.frames)), [*self.prompts, *other.prompts])
        joined = MeasuredClips(clips, self._judge, self._bank)
        joined._parts = (self, other)
        return joined

    def group_by_meaning(self) -> dict[int, Ints]:
        """The rows of each meaning, in order."""
        meanings = np.array([prompt.meaning for prompt in self.prompts])
        return {int(meaning): np.flatnonzero(meanings == meaning) for meaning in np.unique(meanings)}

    @property
    def features(self) -> Floats:
        """The judge's features [N,F]."""
        return self.keep("features", lambda clips: clips._extracted[0].double().numpy())

    @property
    def statistics(self) -> Floats:
        """Statistics of the judge's activations [N,S]."""
        return self.keep("statistics", lambda clips: clips._extracted[1].double().numpy())

    @property
    def objects(self) -> Ints:
        """The object that the judge predicts [N]."""
        return self.keep("objects", lambda clips: _classify(clips._trained.objects, clips._extracted[0]))

    @property
    def categories(self) -> Ints:
        """The category that the judge predicts [N]."""
        return self.keep("categories", lambda clips: _classify(clips._trained.categories, clips._extracted[0]))

    @property
    def ranks(self) -> Floats:
        """How many captions of other meanings fit the clip better than its own [N]; nan if there are too few."""
        return self.keep("ranks", MeasuredClips._rank)

    @property
    def laplacian_energies(self) -> Floats:
        """Laplacian energies by scale [N,D]."""
        return self.keep("laplacian_energies", lambda clips: clips.measure_each(measure_laplacian_energies))

    @property
    def energies(self) -> Floats:
        """Mean absolute difference between frames [N]."""
        return self.keep("energies", lambda clips: clips.measure_each(measure_energy))

    @property
    def jerks(self) -> Floats:
        """Mean second difference over time [N]."""
        return self.keep("jerks", lambda clips: clips.measure_each(measure_jerk))

    @property
    def movements(self) -> Floats:
        """Mean movement of what moves [N,2], in pixels per frame to the right and down."""
        return self._measure_flow("movements")

    @property
    def flows(self) -> Floats:
        """Thumbnails of the optical flow [N,Q]."""
        return self._measure_flow("flows")

    @property
    def flow_pictures(self) -> NDArray[np.float32]:
        """The downsampled optical flow, relative to the height [N,2*(T-1),CELLS,CELLS]."""
        return self._measure_flow("flow_pictures")

    @property
    def velocities(self) -> Floats:
        """Histograms of velocities and of their changes [N,2,V]."""
        return self._measure_flow("velocities")

    @property
    def pixels(self) -> Floats:
        """Thumbnails of the clips [N,P]."""
        return self.keep("pixels", lambda clips: make_clip_thumbnails([average_parts(clip) for clip in clips.frames]))

    def _measure_flow(self, name: str) -> NDArray[Any]:
        """A measurement of the optical flow; the first access computes all of them."""
        if name not in self._known and not self._parts:
            self._known = measure_flows(self.frames) | self._known
        return self.keep(name, lambda clips: clips._measure_flow(name))

    @cached_property
    def _extracted(self) -> tuple[Tensor, Tensor]:
        return self._trained.extract_all(self.frames)

    @property
    def _trained(self) -> Judge:
        assert self._judge is not None, "these clips were measured without a judge"
        return self._judge

    def _rank(self) -> Floats:
        judge, bank = self._trained, self._bank
        assert bank is not None, "these clips were measured without captions to compare with"
        with torch.inference_mode():
            clips = judge.clip_vectors(self._extracted[0])
            own = (clips * judge.caption_vectors(_pad_captions(self.prompts))).sum(dim=1)
            cosines = clips @ judge.caption_vectors(_pad_captions(bank.prompts)).T
            ranks: Floats = bank.rank(own, cosines, self.prompts).numpy()
        return ranks


def _classify(head: torch.nn.Module, features: Tensor) -> Ints:
    with torch.inference_mode():
        classes: Ints = head(features).argmax(dim=1).numpy()
    return classes


def _pad_captions(prompts: Sequence[Prompt]) -> Tensor:
    return pad([prompt.caption.token_ids for prompt in prompts])


def make_clip_thumbnails(clips: Sequence[NDArray[np.float32]], down: int = 0, right: int = 0) -> Floats:
    """Thumbnails [N,P] of cropped clips, given by their `average_parts`, with the crop moved `down` and `right`."""
    height, width = clips[0].shape[1:3]
    rows, columns = slice(EDGE + down, height - EDGE + down), slice(EDGE + right, width - EDGE + right)
    return np.array([make_thumbnails(parts[:, rows, columns]) for parts in clips])


def _draw_flow(flow: Flow) -> NDArray[np.float32]:
    """The flow as one image, relative to its height: [2*(T-1),CELLS,CELLS]."""
    cells = [cv2.resize(step, (CELLS,) * 2, interpolation=cv2.INTER_AREA) for step in flow]
    pictures: NDArray[np.float32] = (np.asarray(cells, np.float32) / flow.shape[1]).transpose(0, 3, 1, 2)
    return pictures.reshape(-1, CELLS, CELLS)


def tally_velocities(flow: Flow) -> NDArray[np.float64]:
    """Histograms of velocities and of their changes from frame to frame: [2,V].

    Each has the mean speed to the right, down, left and up in each region and half of the clip, on a logarithmic
    scale. After Liu et al. 2024, "Frechet Video Motion Distance", arXiv:2407.16124.
    """
    speeds = flow / flow.shape[1]
    changes = np.diff(speeds, axis=0) if len(speeds) > 1 else np.zeros_like(speeds)
    return np.stack([_tally(speeds), _tally(changes)])


def _tally(field: Flow) -> NDArray[np.float64]:
    ways = np.concatenate((np.maximum(field, 0), np.maximum(-field, 0)), axis=-1)  # [T,H,W,4]
    halves = np.array_split(ways if len(ways) >= HALVES else np.repeat(ways, HALVES, axis=0), HALVES)
    regions = [cv2.resize(half.mean(axis=0), (REGIONS,) * 2, interpolation=cv2.INTER_AREA) for half in halves]
    return np.log1p(np.asarray(regions, np.float64) / STILL).ravel()


FLOW_MEASURES: dict[str, Callable[[Flow], NDArray[Any]]] = {
    "movements": measure_movement,
    "flows": lambda flow: make_thumbnails(average_parts(flow)),
    "flow_pictures": _draw_flow,
    "velocities": tally_velocities,
}


def measure_flows(frames: Frames) -> dict[str, NDArray[Any]]:
    """All measurements of FLOW_MEASURES, by name, of clips [N,T,H,W,3]: a row for each clip."""
    rows: dict[str, list[NDArray[Any]]] = {name: [] for name in FLOW_MEASURES}
    for clip in frames:
        flow = measure_flow(clip)
        for name, measure in FLOW_MEASURES.items():
            rows[name].append(measure(flow))
    return {name: np.array(of_clips) for name, of_clips in rows.items()}
