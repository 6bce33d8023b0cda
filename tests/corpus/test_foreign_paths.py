"""Paths that another machine wrote -> paths here."""

import json

import pytest
from settings import reading

from pipeline.corpus.readers import read_rows


def seen(folder, paths, files, **columns):
    for file in files:
        (folder / "videos" / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / "videos" / file).write_bytes(b"video")
    labels = folder / "clips.jsonl"
    labels.write_text("".join(json.dumps({"path": path, "caption": "x"}) + "\n" for path in paths))
    return [(row.id, row.video) for row in read_rows(labels, reading("table", labels, **columns))]


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        (["/home/ann/set/run/1.mp4", "/home/ann/set/jump/1.mp4"], "without the /home/ann/set that they begin with"),
        (["C:\\Users\\Ann\\set\\run\\1.mp4", "C:\\Users\\Ann\\set\\jump\\1.mp4"], "without the C:/Users/Ann/set "),
        (["D:/set/run/1.mp4", "D:/set/jump/1.mp4"], "without the D:/set "),
        (["\\\\server\\share\\run\\1.mp4", "\\\\server\\share\\jump\\1.mp4"], "without the server/share "),
        (["/run/1.mp4", "/jump/1.mp4"], "without the / "),
    ],
)
def test_absolute_paths_lose_what_all_begin_with(tmp_path, capsys, paths, told):
    found = seen(tmp_path, paths, ["run/1.mp4", "jump/1.mp4"])
    assert found == [("run+1.mp4", "run/1.mp4"), ("jump+1.mp4", "jump/1.mp4")]
    assert f"2 paths that lead elsewhere are taken from {tmp_path / 'videos'} on, {told}" in capsys.readouterr().out


def test_a_missing_video_is_not_replaced_by_one_of_its_name_in_another_folder(tmp_path):
    found = seen(tmp_path, ["/set/run/1.mp4", "/set/jump/1.mp4"], ["run/1.mp4"])
    assert found == [("run+1.mp4", "run/1.mp4"), ("jump+1.mp4", "jump/1.mp4")]


def test_folders_that_are_here_stay(tmp_path):
    assert seen(tmp_path, ["/set/run/1.mp4", "/set/run/2.mp4"], ["set/run/1.mp4"])[1] == (
        "set+run+2.mp4",
        "set/run/2.mp4",
    )


def test_paths_that_lead_into_the_folder_are_no_foreign_ones(tmp_path):
    paths = [f"{tmp_path}/videos/1.mp4", "/elsewhere/deep/2.mp4"]
    assert [video for _, video in seen(tmp_path, paths, ["1.mp4", "2.mp4"])] == ["1.mp4", "2.mp4"]


def test_what_is_nowhere_here_stays_as_it_is(tmp_path, capsys):
    paths = ["/etc/passwd", "/set/../../secret.mp4", "/set/\0.mp4"]
    assert [video for _, video in seen(tmp_path, paths, ["a.mp4"])] == paths
    assert "lead elsewhere" not in capsys.readouterr().out


def test_repeats_and_parts_keep_what_their_ids_end_with(tmp_path):
    assert seen(tmp_path, ["/set/1.mp4", "/set/1.mp4"], ["1.mp4"]) == [("1.mp4", "1.mp4"), ("1.mp4~2", "1.mp4")]
    paths = ["/set/1.mp4"]
    assert seen(tmp_path, paths, ["1.mp4"], id="caption") == [("x", "1.mp4")]


def test_addresses_are_looked_for_by_the_names_of_their_files(tmp_path, capsys):
    paths = ["https://38.media.host/9e/tumblr_a.gif?x=1", "https://host/b%20c.mp4#t=1", "https://host/watch?v=abc"]
    found = seen(tmp_path, paths, ["gifs/tumblr_a.gif"])
    assert found[:2] == [("tumblr_a.gif", "**/tumblr_a.gif"), ("b c.mp4", "**/b c.mp4")]
    assert found[2][1] == "https:/host/watch?v=abc"
    assert "2 videos are named by addresses" in capsys.readouterr().out


def test_a_name_of_two_addresses_says_nothing(tmp_path):
    found = seen(tmp_path, ["https://host/1/video.mp4", "https://host/2/video.mp4"], ["video.mp4"])
    assert [video for _, video in found] == ["https:/host/1/video.mp4", "https:/host/2/video.mp4"]


def test_a_page_of_youtube_is_found_by_its_id(tmp_path):
    pages = [
        *("https://www.youtube.com/watch?v=C37R_Ix8-qs", "www.youtube.com/watch?feature=x&v=C37R_Ix8-qs&t=9s"),
        *("https://youtu.be/PIsUJl8BN_I?t=1", "https://m.youtube.com/shorts/PIsUJl8BN_I"),
    ]
    assert seen(tmp_path, pages, ["C37R_Ix8-qs.mp4"]) == [
        ("C37R_Ix8-qs", "**/C37R_Ix8-qs"),
        ("C37R_Ix8-qs~2", "**/C37R_Ix8-qs"),
        ("PIsUJl8BN_I", "**/PIsUJl8BN_I"),
        ("PIsUJl8BN_I~2", "**/PIsUJl8BN_I"),
    ]
    other = ["https://www.youtube.com/playlist?list=PL1", "youtube.com/C37R_Ix8-qs.mp4"]
    assert [video for _, video in seen(tmp_path, other, [])] == ["https:/www.youtube.com/playlist?list=PL1", other[1]]
