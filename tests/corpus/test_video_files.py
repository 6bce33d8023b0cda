"""Ids -> video files."""

import hashlib
import os

import pytest
from labels import write_videos

from pipeline.corpus.video_files import digest_videos, find_videos, is_usable_id
from pipeline.errors import UserError
from pipeline.records import Drop

UNUSABLE = [
    "",
    "../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "a\\b",
    ".hidden",
    "..",
    "nul\0",
    "new\nline",
    "x" * 201,
    "\ud800",
    "ü" * 101,
]


def by_id(*ids):
    return [(name, "") for name in ids]


@pytest.mark.parametrize("name", UNUSABLE, ids=ascii)
def test_an_id_that_could_leave_the_folder_or_is_no_file_name_is_unusable(name):
    assert not is_usable_id(name)


@pytest.mark.parametrize("name", ["1", "-dQw4w9", "a b", "it's", "a&b?c=d", "ü", "x" * 200, "v1.2"])
def test_an_id_that_is_an_odd_but_safe_file_name_is_usable(name, tmp_path):
    assert is_usable_id(name)
    (tmp_path / f"{name}.webm").write_bytes(b"bytes")
    assert find_videos(tmp_path, [(name, "")], 1) == [f"{name}.webm"]
    assert digest_videos(tmp_path, [f"{name}.webm"], 1) == [hashlib.sha256(b"bytes").hexdigest()]


def test_webm_comes_first_then_the_other_endings(tmp_path):
    for file in ("a.mp4", "a.webm", "b.mov", "b.mkv"):
        (tmp_path / file).write_bytes(file.encode())
    assert find_videos(tmp_path, by_id("a", "b"), 2) == ["a.webm", "b.mkv"]


def test_results_come_in_the_order_of_the_ids_whatever_the_workers(tmp_path):
    ids = [str(n) for n in range(500)]
    write_videos(tmp_path, ids)
    found = find_videos(tmp_path, by_id(*ids), 4)
    assert found == [f"{name}.webm" for name in ids]
    assert digest_videos(tmp_path, found, 4) == [hashlib.sha256(f"video {name}".encode()).hexdigest() for name in ids]


def test_missing_empty_and_irregular_files_are_dropped_with_their_reason(tmp_path):
    (tmp_path / "empty.webm").touch()
    (tmp_path / "folder.webm").mkdir()
    os.mkfifo(tmp_path / "pipe.webm")
    (tmp_path / "link.webm").symlink_to(tmp_path / "nowhere")
    found = find_videos(tmp_path, by_id("missing", "empty", "folder", "pipe", "link"), 2)
    assert all(isinstance(drop, Drop) for drop in found)
    assert [drop.reason for drop in found] == ["missing_video", "empty_video", *["missing_video"] * 3]


def test_a_missing_videos_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder of videos; see dataset\.videos"):
        find_videos(tmp_path / "nowhere", by_id("1"), 1)


def test_captions_of_one_video_read_it_once_and_each_gets_it(tmp_path, monkeypatch):
    write_videos(tmp_path, ["a", "b"])
    read = []
    monkeypatch.setattr("pipeline.corpus.video_files.digest_source", lambda _, file: read.append(file) or file)
    named = [("1", "a.webm"), ("2", "b.webm"), ("3", "a.webm"), ("a", ""), ("4", "gone.webm"), ("5", "gone.webm")]
    found = find_videos(tmp_path, named, 1)
    assert found[:4] == ["a.webm", "b.webm", "a.webm", "a.webm"]
    assert found[4:] == [Drop(name, "missing_video", "no gone.webm") for name in "45"]
    assert digest_videos(tmp_path, found[:4], 1) == found[:4]
    assert sorted(read) == ["a.webm", "b.webm"]


def test_files_are_not_read_again_by_a_later_call(tmp_path):
    digests = {}
    (tmp_path / "1.webm").write_bytes(b"one")
    first = digest_videos(tmp_path, ["1.webm"], 1, digests)
    (tmp_path / "1.webm").unlink()
    (tmp_path / "2.webm").write_bytes(b"two")
    assert digest_videos(tmp_path, ["2.webm", "1.webm"], 1, digests) == [hashlib.sha256(b"two").hexdigest(), *first]
