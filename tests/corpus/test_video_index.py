"""Names of videos that may lie in any folder."""

import pytest

from pipeline.corpus.video_files import find_videos
from pipeline.records import Drop


@pytest.fixture
def videos(tmp_path):
    """A folder with videos at several depths."""
    for path in (
        *("val/abseiling/a_000001_000011.mp4", "flat/b.MP4", "flat/b.webm", "one/c.mp4", "two/c.mp4", "d.mkv"),
        *("x/e.mov", "x/e.avi", ".hidden/f.mp4", "g_60.0_210.0.mp4", "n/empty.mp4"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"" if "empty" in path else b"v")
    return tmp_path


def found(videos, *names):
    return [
        f"{path.reason}: {path.detail}" if isinstance(path, Drop) else path
        for path in find_videos(videos, [(name, f"**/{name}") for name in names], 2)
    ]


def test_a_name_is_found_in_any_folder_with_its_ending_or_without(videos):
    names = ("a_000001_000011", "a_000001_000011.mp4", "d.", "d.mp4", "e.mov", "e", "g_60.0_210.0", "one/c", "b.mp4")
    assert found(videos, *names) == [
        *("val/abseiling/a_000001_000011.mp4", "val/abseiling/a_000001_000011.mp4", "d.mkv", "d.mkv"),
        *("x/e.mov", "x/e.avi", "g_60.0_210.0.mp4", "one/c.mp4", "flat/b.MP4"),
    ]


def test_several_videos_of_one_name_are_told_and_so_is_none(videos):
    assert found(videos, "c", "a_000001_000012", "f", "../d", "empty") == [
        "missing_video: one/c.mp4 and two/c.mp4 are both called c",
        "missing_video: no a_000001_000012 in any folder; the nearest is val/abseiling/a_000001_000011.mp4",
        "missing_video: no f in any folder",
        "unusable_path: '../d' climbs with `..`",
        "empty_video: n/empty.mp4 holds no bytes",
    ]


def test_what_lies_above_counts_whole(videos):
    assert found(videos, "abseiling/a_000001_000011", "seiling/a_000001_000011") == [
        "val/abseiling/a_000001_000011.mp4",
        "missing_video: no seiling/a_000001_000011 in any folder; the nearest is val/abseiling/a_000001_000011.mp4",
    ]
