"""Names of videos in exports -> videos in the folder."""

import unicodedata

import pytest
from exports import write_media

from pipeline.corpus.readers.exports import MediaFiles
from pipeline.corpus.video_files import find_videos
from pipeline.records import Drop

COMPOSED = unicodedata.normalize("NFC", "é.mp4")
NAMES = ("a.mp4", "day 1/b.MP4", "day 1/c.mp4", "day 2/c.mp4", "3b780495-up.mp4", "my clip (1).mp4", "d.avi", COMPOSED)


@pytest.mark.parametrize(
    ("named", "video"),
    [
        ("a.mp4", "a.mp4"),
        ("./day 1/b.MP4", "day 1/b.MP4"),
        ("{videos}/day 2/c.mp4", "day 2/c.mp4"),
        ("/other/machine/b.mp4", "day 1/b.MP4"),
        ("C:\\Users\\me\\day 2\\c.mp4", "day 2/c.mp4"),
        ("\\\\server\\share\\day 1\\c.mp4", "day 1/c.mp4"),
        ("T:/rec/a.mp4", "a.mp4"),
        ("file:///D:/rec/day%201/c.mp4", "day 1/c.mp4"),
        ("file:a.mp4", "a.mp4"),
        ("https://host/x/a.mp4?X-Amz-Date=1&b=c.mp4", "a.mp4"),
        ("s3://bucket/day%202/c.mp4", "day 2/c.mp4"),
        ("/data/local-files/?d=rec/day%201/c.mp4", "day 1/c.mp4"),
        ("/data/upload/4/12345678-a.mp4", "a.mp4"),
        ("/data/upload/4/3b780495-up.mp4", "3b780495-up.mp4"),
        ("/data/upload/4/0123abcd-my%20clip%20(1).mp4", "my clip (1).mp4"),
        ("/data/upload/4/12345678-my_clip_1.mp4", "my clip (1).mp4"),
        ("d.mpg", "d.avi"),
        ("a", "a.mp4"),
        (unicodedata.normalize("NFD", "x/é.mp4"), COMPOSED),
        ("../../day 1/b.MP4", "day 1/b.MP4"),
        ("", ""),
        ("/", ""),
        ("..", ""),
    ],
)
def test_a_video_is_found_by_its_file_name(tmp_path, named, video):
    videos = write_media(tmp_path, *NAMES)
    assert MediaFiles(videos).find(named.format(videos=videos)) == video


def test_names_that_fit_none_or_two_are_left_to_be_dropped_with_a_reason(tmp_path):
    videos = write_media(tmp_path, "day 1/session_one.mp4", "day 1/c.mp4", "day 2/c.mp4", "x.mp4")
    media = MediaFiles(videos)
    names = ["/rec/sesion_one.mp4", "rec/12345678-c.mp4", "day 2/c.mp4"]
    found = [media.find(name) for name in names]
    assert found == ["**/sesion_one.mp4", "**/c.mp4", "day 2/c.mp4"]
    drops = find_videos(videos, [(name, name) for name in found[:2]], 1)
    assert [drop.detail for drop in drops if isinstance(drop, Drop)] == [
        "no sesion_one.mp4 in any folder; the nearest is day 1/session_one.mp4",
        "day 1/c.mp4 and day 2/c.mp4 are both called c.mp4",
    ]
    assert [media.holds(name) for name in ("x.mp4", *names, "")] == [True, False, False, True, False]


def test_an_absent_folder_of_videos_is_left_to_the_next_step(tmp_path):
    assert MediaFiles(tmp_path / "gone").find("/rec/a.mp4") == "**/a.mp4"
