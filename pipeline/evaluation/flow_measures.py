"""What is kept of a clip's optical flow [T-1,H,W,2], which itself takes long, and much memory."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.measures import STILL, Flow, average_parts, make_thumbnails, measure_flow, measure_movement
from pipeline.records import Frames

CELLS = 16  # per side, of the pictures of the flow
REGIONS = 4  # per side, in which velocities are tallied
HALVES = 2  # of the time


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


MEASURES: dict[str, Callable[[Flow], NDArray[Any]]] = {
    "movements": measure_movement,
    "flows": lambda flow: make_thumbnails(average_parts(flow)),
    "flow_pictures": draw_flow,
    "velocities": tally_velocities,
}


def measure_flows(frames: Frames) -> dict[str, NDArray[Any]]:
    """Every measure of MEASURES, by name, of clips [N,T,H,W,3]: a row for each clip."""
    rows: dict[str, list[NDArray[Any]]] = {name: [] for name in MEASURES}
    for clip in frames:
        flow = measure_flow(clip)
        for name, measure in MEASURES.items():
            rows[name].append(measure(flow))
    return {name: np.array(of_clips) for name, of_clips in rows.items()}
