"""JSON of objects that are tracked in videos -> a row per video with the names of what is seen in it.

Read are lists of `videos`, `annotations` and `categories`, as of YouTube-VIS, OVIS and TAO, and `sequences` of BURST.
"""

from collections.abc import Mapping
from typing import Any

FOLDER = "video_folder"  # of a row: where the pictures of the video are
OBJECTS = "object_names"  # of a row: the categories of its objects, each once; no row has it where nothing is annotated

Row = dict[str, Any]


def join_tracks(content: Mapping[str, Any]) -> list[Row] | None:
    """A row per video, also for those without objects; None where the file has no such lists.

    A category that has no name is None, so that its row is dropped with a reason.
    """
    names = {str(one.get("id")): one.get("name") for one in _list_objects(content, "categories")}
    sequences = _list_objects(content, "sequences")
    videos = sequences or _list_objects(content, "videos")
    if not videos or not names or not all(isinstance(name, str) for name in names.values()):
        return None
    if sequences:
        found = [_list_tracked(video) for video in sequences]
    else:
        annotated = _find_annotated(content)
        found = [annotated.get(str(video.get("id")), []) for video in videos]
    rows = [{**video, FOLDER: _find_folder(video)} for video in videos]
    if any(found):
        for row, numbers in zip(rows, found, strict=True):
            row[OBJECTS] = [names.get(number) for number in dict.fromkeys(numbers)]
    return rows


def _list_objects(content: Mapping[str, Any], name: str) -> list[Row]:
    """The list under a name, if it is one of objects only."""
    listed = content.get(name)
    return listed if isinstance(listed, list) and all(isinstance(one, dict) for one in listed) else []


def _list_tracked(video: Row) -> list[str]:
    tracked = video.get("track_category_ids")
    return [str(number) for number in tracked.values()] if isinstance(tracked, dict) else []


def _find_annotated(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """Video -> the numbers of its categories; what is annotated in a picture belongs to the video of the picture."""
    pictures = {str(one.get("id")): one.get("video_id") for one in _list_objects(content, "images")}
    found: dict[str, list[str]] = {}
    for one in _list_objects(content, "annotations"):
        video = one.get("video_id", pictures.get(str(one.get("image_id"))))
        found.setdefault(str(video), []).append(str(one.get("category_id")))
    return found


def _find_folder(video: Row) -> str | None:
    """The folder of the pictures: that of the first, or what the video is called."""
    pictures = video.get("file_names")
    if isinstance(pictures, list) and pictures:
        return str(pictures[0]).replace("\\", "/").rpartition("/")[0] or None
    parts = [video.get("dataset"), video.get("seq_name", video.get("name"))]
    return "/".join(part for part in parts if isinstance(part, str)) or None
