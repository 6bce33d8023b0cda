"""Clips of one video, which leave training together: a video is in one split alone, whatever its captions say."""

from collections import defaultdict
from collections.abc import Iterable

from pipeline.corpus.rows import Labelled


def video_name(clip: Labelled) -> str:
    """What names the clip's video: its path, or its id where it has none."""
    return clip.video or clip.id


class Companions:
    """The clips of each video."""

    def __init__(self, clips: Iterable[Labelled]) -> None:
        self._clips: dict[str, list[Labelled]] = defaultdict(list)
        for clip in clips:
            self._clips[video_name(clip)].append(clip)

    def join(self, clips: Iterable[Labelled]) -> list[Labelled]:
        """These clips and all others of their videos, each once."""
        names = dict.fromkeys(video_name(clip) for clip in clips)
        return [clip for name in names for clip in self._clips[name]]
