"""Where in a picture the movement is: the crop that holds most of it."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.records import Frames
from pipeline.video.geometry import SCALE_FLAGS, Crop, Filter, Picture, centre_crop

SIDE = 64  # pixels of the longer side of the small grey picture
NOISE = 10  # of 255: smaller differences are grain, flicker and what the codec made of them


def grey_filters(picture: Picture) -> list[Filter]:
    """Filters from a decoded frame to the whole of it, small and grey, uint8 [h,w]."""
    longer = max(picture.width, picture.height)
    width, height = (max(1, round(side * min(SIDE, longer) / longer)) for side in (picture.width, picture.height))
    return [("scale", f"{width}:{height}:flags={SCALE_FLAGS}"), ("format", "gray")]


def busiest_crop(greys: Sequence[Frames], picture: Picture, height: int, width: int) -> Crop:
    """The crop of the centre's size in which most changes from one small grey frame to the next.

    Of equally good places the one in the middle, so the movement is not pressed to an edge, and the crop is the
    centre's where nothing moves.
    """
    crop = centre_crop(picture, height, width)
    differences = [np.abs(after.astype(np.int64) - before) for before, after in pairwise(greys)]
    moved = sum((np.where(change > NOISE, change, 0) for change in differences), np.zeros_like(greys[0], np.int64))
    across, down = picture.chroma_steps
    x = _busiest(moved.sum(axis=0), picture.width, crop.width, across)
    y = _busiest(moved.sum(axis=1), picture.height, crop.height, down)
    return crop._replace(x=x, y=y)


def _busiest(moved: NDArray[np.int64], length: int, part: int, step: int) -> int:
    """Where along a side of `length` pixels a part of it begins that holds most of `moved`, by whole steps.

    In whole numbers throughout, so that equal places are equal everywhere.
    """
    before = np.concatenate([[0], np.cumsum(moved)]) * length
    starts = np.arange(0, length - part + 1, step)

    def up_to(pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        cell, rest = np.divmod(pixels * len(moved), length)
        inside: NDArray[np.int64] = before[cell] + np.append(moved, 0)[cell] * rest
        return inside

    held = up_to(starts + part) - up_to(starts)
    best = np.flatnonzero(held == held.max())
    return int(starts[best[(len(best) - 1) // 2]])
