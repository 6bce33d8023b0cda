"""Measurements of a set of clips, by the judge, by optical flow and in pixels: each on demand, and once."""

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
from pipeline.pretrained import Network
from pipeline.records import Frames

EDGE = 2  # pixels left out all round in thumbnails, so that a clip shifted by as many still overlaps the other

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CELLS = 16  # per side, of the pictures of the flow
REGIONS = 4  # per side, in which velocities are tallied
HALVES = 2  # of the time


class ClipSet(NamedTuple):
    """Clips uint8 [N,T,H,W,3] and what each should show."""

    frames: Frames
    prompts: Sequence[Prompt]


class CaptionBank(NamedTuple):
    """One prompt of each meaning, and how many wrong captions a clip's own caption has to beat."""

    prompts: Sequence[Prompt]
    distractors: int

    def rank(self, own: Tensor, cosines: Tensor, prompts: Sequence[Prompt]) -> Tensor:
        """For each clip, how many captions of other meanings have a larger cosine than its own: [N].

        `own` [N] are the cosines with its own caption, `cosines` [N,K] those with the captions of the bank. nan where
        the bank holds fewer than `distractors` captions of other meanings.
        """
        meanings = torch.tensor([prompt.meaning for prompt in self.prompts])
        ranks = []
        for row, prompt in enumerate(prompts):
            # Which wrong captions a clip meets must not depend on chance: they follow its own around the bank.
            start = prompt.meaning * 7 + row
            others = (torch.arange(len(self.prompts)) + start) % len(self.prompts)
            others = others[meanings[others] != prompt.meaning][: self.distractors]
            better = float((cosines[row, others] > own[row]).sum())
            ranks.append(better if len(others) == self.distractors else math.nan)
        return torch.tensor(ranks, dtype=torch.float64)


class MeasuredClips:
    """N clips, and everything that metrics ask of them. Rows of every measurement belong to the rows of `prompts`.

    A measurement is taken when it is first asked for, and kept. `frames` are uint8 [N,T,H,W,3]; a metric takes its own
    measurements of them with `measure_each`.
    """

    def __init__(
        self, clips: ClipSet, judge: Judge | None = None, bank: CaptionBank | None = None, **known: NDArray[Any]
    ) -> None:
        """`known` holds measurements, by name, that need not be taken."""
        self.frames, self.prompts = clips
        self._judge, self._bank = judge, bank
        self._parts: tuple[MeasuredClips, ...] = ()
        self._known: dict[Hashable, NDArray[Any]] = {}
        self._known.update(known.items())

    def __len__(self) -> int:
        return len(self.frames)

    def measure_each(self, measure: Callable[[Frames], Any]) -> Floats:
        """`measure` of each clip uint8 [T,H,W,3], a number or an array: [N] or [N,...]. Taken once per function."""
        return self.keep(measure, lambda clips: np.array([measure(clip) for clip in clips.frames], np.float64))

    def keep(self, key: Hashable, measure: Callable[["MeasuredClips"], NDArray[Any]]) -> NDArray[Any]:
        """What `measure` returns for this set, a row for each clip; computed once for each key."""
        if key not in self._known:
            parts = [part.keep(key, measure) for part in self._parts]
            self._known[key] = np.concatenate(parts) if parts else measure(self)
        return self._known[key]

    def extract(self, network: Network, most: int) -> Floats:
        """Features [N,F] by a pretrained network, of the first `most` clips."""
        key = (network, most)
        if key not in self._known:
            self._known[key] = network.extract_all(self.frames[:most])
        return self._known[key]

    def join(self, other: "MeasuredClips") -> "MeasuredClips":
        """The clips of both; nothing is measured again."""
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
        """Statistics of the judge's layers [N,S]."""
        return self.keep("statistics", lambda clips: clips._extracted[1].double().numpy())

    @property
    def objects(self) -> Ints:
        """The object that the judge sees [N]."""
        return self.keep("objects", lambda clips: _classify(clips._trained.objects, clips._extracted[0]))

    @property
    def categories(self) -> Ints:
        """The category that the judge sees [N]."""
        return self.keep("categories", lambda clips: _classify(clips._trained.categories, clips._extracted[0]))

    @property
    def ranks(self) -> Floats:
        """How many captions of other meanings fit the clip better than its own [N], nan with too few of them."""
        return self.keep("ranks", MeasuredClips._rank)

    @property
    def laplacian_energies(self) -> Floats:
        """Detail by size [N,D]."""
        return self.keep("laplacian_energies", lambda clips: clips.measure_each(measure_laplacian_energies))

    @property
    def energies(self) -> Floats:
        """Mean change from frame to frame [N]."""
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
        """The optical flow, small, in shares of the height [N,2*(T-1),CELLS,CELLS]."""
        return self._measure_flow("flow_pictures")

    @property
    def velocities(self) -> Floats:
        """Tallies of velocities and of their changes [N,2,V]."""
        return self._measure_flow("velocities")

    @property
    def pixels(self) -> Floats:
        """Thumbnails of the clips [N,P]."""
        return self.keep("pixels", lambda clips: make_clip_thumbnails([average_parts(clip) for clip in clips.frames]))

    def _measure_flow(self, name: str) -> NDArray[Any]:
        """A measure of the optical flow; with the first one all are taken."""
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
    """Thumbnails [N,P] of the insides of clips, given as `average_parts`, shifted down and right by these pixels."""
    height, width = clips[0].shape[1:3]
    rows, columns = slice(EDGE + down, height - EDGE + down), slice(EDGE + right, width - EDGE + right)
    return np.array([make_thumbnails(parts[:, rows, columns]) for parts in clips])


def draw_flow(flow: Flow) -> NDArray[np.float32]:
    """The flow as one picture, in shares of its height: [2*(T-1),CELLS,CELLS]."""
    cells = [cv2.resize(step, (CELLS,) * 2, interpolation=cv2.INTER_AREA) for step in flow]
    pictures: NDArray[np.float32] = (np.asarray(cells, np.float32) / flow.shape[1]).transpose(0, 3, 1, 2)
    return pictures.reshape(-1, CELLS, CELLS)


def tally_velocities(flow: Flow) -> NDArray[np.float64]:
    """The velocities and their changes from frame to frame: [2,V].

    Of each, how far it goes right, down, left and up, in each region and half of the time, on a logarithmic scale.
    After the histograms of Liu et al. 2024, "Frechet Video Motion Distance", arXiv:2407.16124.
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
    "flow_pictures": draw_flow,
    "velocities": tally_velocities,
}


def measure_flows(frames: Frames) -> dict[str, NDArray[Any]]:
    """Every measure of FLOW_MEASURES, by name, of clips [N,T,H,W,3]: a row for each clip."""
    rows: dict[str, list[NDArray[Any]]] = {name: [] for name in FLOW_MEASURES}
    for clip in frames:
        flow = measure_flow(clip)
        for name, measure in FLOW_MEASURES.items():
            rows[name].append(measure(flow))
    return {name: np.array(of_clips) for name, of_clips in rows.items()}
