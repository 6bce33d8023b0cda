"""Changed files are read, refused with one message, or dropped with a reason; they are changed by their structure."""

import random

import pytest
from locations import ROOT

from tools.fuzz import SHARD, Fuzzer
from tools.mutations import find_parts, mutate, splice
from tools.seeds import draw_seeds


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return draw_seeds(tmp_path_factory.mktemp("seeds"))


def read_seed(seeds, name):
    return next(path for path in seeds["videos"] if path.name == name).read_bytes()


def test_the_parts_of_a_video_are_those_that_its_container_has(seeds):
    boxes = read_seed(seeds, "h264.mp4")
    names = [boxes[start + 4 : start + 8] for start, _, _ in find_parts(boxes)]
    assert {b"ftyp", b"moov", b"trak", b"mdia", b"stbl", b"stsz", b"mdat"} <= set(names)
    elements = read_seed(seeds, "vp9.webm")
    names = [elements[start:content].hex() for start, content, _ in find_parts(elements)]
    assert any(name.startswith("1654ae6b") for name in names)  # tracks
    assert sum(name.startswith("a3") for name in names) == 12  # a simple block for each frame
    chunks = read_seed(seeds, "mjpeg.avi")
    names = [chunks[start : start + 4] for start, _, _ in find_parts(chunks)]
    assert {b"RIFF", b"LIST", b"avih", b"strh", b"00dc", b"idx1"} <= set(names)
    packets = read_seed(seeds, "h264.ts")
    assert {packets[start] for start, _, _ in find_parts(packets)} == {0x47}  # the byte that begins each
    pages = read_seed(seeds, "theora.ogv")
    assert [pages[start : start + 4] for start, _, _ in find_parts(pages)] == [b"OggS"] * pages.count(b"OggS")


@pytest.mark.parametrize("name", ["vp9.webm", "av1.mkv", "h264.mp4", "pieces.mp4", "mjpeg.avi", "picture.webp"])
def test_what_holds_a_part_says_the_right_length_without_it_and_with_it_twice(seeds, name):
    data = read_seed(seeds, name)
    parts = find_parts(data)
    for start, _, end in parts:
        within = sum(start <= first and last <= end for first, _, last in parts)  # itself, too
        without = splice(data, start, end, b"")
        assert len(without) == len(data) - (end - start)
        if start:  # a file is known by its first part
            assert len(find_parts(without)) == len(parts) - within
        assert len(find_parts(splice(data, start, start, data[start:end]))) == len(parts) + within


def test_equal_chance_gives_equal_changes(seeds):
    for path in (path for paths in seeds.values() for path in paths):
        content = path.read_bytes()
        changed = [mutate(content, random.Random(number)) for number in range(20)]
        assert changed == [mutate(content, random.Random(number)) for number in range(20)]
        assert sum(one != content for one in changed) > 15


@pytest.mark.slow
def test_changed_files_are_read_or_refused_with_one_message(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    fuzzer = Fuzzer(tmp_path / "fuzz", seed=7)
    for _ in range(100):
        fuzzer.read_files()
    assert fuzzer.outcomes.total() == 300
    assert [outcome for outcome in fuzzer.outcomes if "FAULT" in outcome] == []
    assert sum(outcome.endswith(": read") for outcome in fuzzer.outcomes) == 3


@pytest.mark.slow
def test_changed_videos_are_kept_or_dropped_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    fuzzer = Fuzzer(tmp_path / "fuzz", seed=7)
    fuzzer.decode_videos(2 * SHARD)
    assert fuzzer.outcomes.total() == 2 * SHARD
    assert 0 < fuzzer.outcomes["videos: kept"] < 2 * SHARD
    assert not [outcome for outcome in fuzzer.outcomes if "FAULT" in outcome]
    assert not [outcome for outcome in fuzzer.outcomes if "invalid_answer" in outcome]


@pytest.mark.slow
def test_a_video_that_stops_the_run_is_found_among_others(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    fuzzer = Fuzzer(tmp_path / "fuzz", seed=7)
    videos = fuzzer.seeds["videos"][:5]
    gone = videos[0].with_name("gone.mp4")
    told = fuzzer.decode(gone.parent, [*videos[:3], gone, *videos[3:]])
    assert list(told) == ["gone"]
    assert told["gone"].startswith("FAULT FileNotFoundError")
