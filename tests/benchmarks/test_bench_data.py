"""The measures of `make bench-data` run and are of the right work; how fast it is, no test asserts."""

import json
import subprocess
import sys

import pytest
from locations import ROOT

pytestmark = pytest.mark.usefixtures("bench_is_importable")

ASKED = {
    "transcode_of_floor",
    "transcode_vs_ffmpeg",
    "transcode_vs_opencv",
    "two_cores_vs_one",
    "shuffled_vs_memmap",
    "frames_equal",
    "transcode_webm_vs_before",
    "transcode_mp4_vs_before",
    "transcode_memory_gb",
    "filter_seconds",
    "filter_pictures_seconds",
    "parts_decoded_share",
    "parts_vs_whole_each",
    "sandbox_cost",
}


def test_ways_are_measured_in_turn_and_the_best_round_of_each_part_counts():
    from bench.measuring import Times, interleaved

    now, done = 0.0, []
    costs = {("a", 1): [5, 2, 3], ("a", 2): [1, 9, 9], ("b", 1): [1, 1, 4], ("b", 2): [6, 6, 6]}
    left = {key: list(seconds) for key, seconds in costs.items()}

    def way(name, part):
        nonlocal now
        now += left[name, part].pop(0)
        done.append((name, part))

    ways = {name: lambda part, name=name: way(name, part) for name in "ab"}
    times = interleaved(ways, [1, 2], 3, lambda: now)
    assert times == {"a": Times(best=2 + 1, median=3 + 9), "b": Times(best=1 + 6, median=1 + 6)}
    assert done == [("a", 1), ("b", 1), ("a", 2), ("b", 2)] * 3


@pytest.mark.slow
def test_frames_that_differ_are_counted(tmp_path, monkeypatch):
    from settings import clip_shape, transcoding
    from videos import draw

    from bench import decoding

    paths = [draw(tmp_path / f"{n}.webm", frames=20, vcodec="libvpx-vp9") for n in range(2)]
    asked = paths, clip_shape(8, 16, 16), transcoding()
    assert decoding.count_equal(*asked) == {"equal": 2, "plain": 2}
    decode = decoding.decode_video

    def other(path, shape, options, key):
        done = decode(path, shape, options, key)
        if options.decoder == "ffmpeg" and path == paths[0]:
            done.clips[0][0, 0, 0, 0] ^= 1
        return done

    monkeypatch.setattr(decoding, "decode_video", other)
    assert decoding.count_equal(*asked) == {"equal": 1, "plain": 2}


def test_label_rows_are_made_up_in_the_shape_of_the_official_ones(tmp_path):
    from bench.dataset import write_labels

    ids = write_labels(tmp_path / "train.json", 500)
    listed = json.loads((tmp_path / "train.json").read_text())
    assert ids == [row["id"] for row in listed] and len(set(ids)) == 500
    assert len({row["template"] for row in listed}) > 150
    for row in listed:
        assert row["template"].replace("[something]", *row["placeholders"]).lower() == row["label"]


@pytest.mark.slow
def test_the_table_holds_what_was_asked_for(tmp_path):
    sizes = [
        "--clips",
        "2",
        "--rows",
        "300",
        "--transcode-rows",
        "120",
        "--picture-folders",
        "50",
        "--rounds",
        "1",
        "--minutes",
        "1",
        "--parts",
        "15",
    ]
    command = [sys.executable, "-m", "bench.data", *sizes, "--out", str(tmp_path / "data.json")]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    figures = json.loads((tmp_path / "data.json").read_text())
    assert figures.keys() >= ASKED
    assert figures["frames_equal"] == figures["frames_by_plain_reader"] == 1
    assert 60_000 < figures["videos"]["mean_bytes"] < 120_000
    assert all(any(line.startswith(f"{name} ") for line in printed.splitlines()) for name in ASKED)
