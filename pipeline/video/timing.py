"""Which frames of a video become the clip."""

from typing import Literal

ShortClips = Literal["drop", "repeat_last"]


class ShortClip(Exception):
    """A video with fewer frames than the clip needs."""


def choose_frames(count: int, wanted: int, short_clips: ShortClips) -> list[int]:
    """Numbers of `wanted` frames spread evenly over a video of `count` frames, counted by decoding.

    The video is cut into `wanted` equal spans and each gives the frame in its middle: frame k is
    floor((k + 1/2) * count / wanted), so the first and the last span are covered alike, no frame is taken twice
    and a video of just `wanted` frames is taken as it is. A shorter one raises ShortClip, or with `repeat_last` is
    taken whole, its last frame standing still until the end.
    """
    if count < wanted and short_clips == "drop":
        raise ShortClip(f"{count} frames, fewer than the {wanted} of clip.frames; see transcode.short_clips")
    if count < wanted:
        return [min(k, count - 1) for k in range(wanted)]
    return [(2 * k + 1) * count // (2 * wanted) for k in range(wanted)]
