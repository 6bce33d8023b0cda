"""Files that are damaged, lie, or want a decoder to read something else, decoded in a process that is watched."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from locations import ROOT
from videos import draw

VPX = {"pix_fmt": "yuv420p", "deadline": "realtime", "cpu-used": 8}
BASES = {
    "vp9.webm": {"vcodec": "libvpx-vp9", **VPX},
    "vp8.webm": {"vcodec": "libvpx", **VPX},
    "h264.mp4": {"vcodec": "libx264", "pix_fmt": "yuv420p", "movflags": "faststart"},
    "mjpeg.avi": {"vcodec": "mjpeg", "pix_fmt": "yuvj420p"},
    "h264.ts": {"vcodec": "libx264", "pix_fmt": "yuv420p"},
}
COPIES = 120  # of each


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Name -> bytes of the drawn files."""
    folder = tmp_path_factory.mktemp("whole")
    paths = {name: draw(folder / name, shape="64x48", frames=8, **options) for name, options in BASES.items()}
    return {name: path.read_bytes() for name, path in paths.items()}


def decode_all(folder, decoder="in_process", seconds=300):
    """The lines that the watched process prints; it must neither crash nor hang."""
    command = [sys.executable, "tests/decode_many.py", str(folder), decoder]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(list(folder.iterdir()))
    for line in lines:
        kind, words = line["outcome"]
        assert kind == "clips" or (words and "\n" not in words), line
    return lines


def mutated(data, number, rng):
    """A copy of a file: cut off, with flipped bits, with a lying header, or with parts lost, doubled or emptied."""
    copy = np.frombuffer(data, np.uint8).copy()
    kind = number % 5
    place = int(rng.integers(0, len(copy)))
    if kind == 0:
        return data[:place]
    if kind == 1:
        for at in rng.integers(0, len(copy), rng.integers(1, 12)):
            copy[at] ^= 1 << rng.integers(0, 8)
    elif kind == 2:
        copy[rng.integers(0, min(700, len(copy)), rng.integers(1, 6))] = rng.choice([0, 1, 127, 128, 254, 255])
    elif kind == 3:
        copy[place : place + int(rng.integers(1, 200))] = 0
    else:
        other = int(rng.integers(0, len(copy)))
        return data[:place] + data[other:]
    return copy.tobytes()


@pytest.mark.slow
def test_six_hundred_mutated_files_are_decoded_alike_by_all_means_or_refused(whole, tmp_path):
    rng = np.random.default_rng(11)
    for name, data in whole.items():
        stem, suffix = name.split(".")
        for number in range(COPIES):
            (tmp_path / f"{stem}-{number:03}.{suffix}").write_bytes(mutated(data, number, rng))
        (tmp_path / f"{stem}-good.{suffix}").write_bytes(data)
    lines = decode_all(tmp_path)
    kinds = [line["outcome"][0] for line in lines]
    assert len(lines) > 500 and kinds.count("clips") > 50 and kinds.count("DecodeError") > 50
    assert [line for line in lines if "by_open" in line and line["by_open"] != line["outcome"]] == []
    good = tmp_path / "good"
    good.mkdir()
    for name, data in whole.items():
        (good / name.replace(".", "-good.")).write_bytes(data)
    after = {line["name"]: line["outcome"] for line in lines if "-good." in line["name"]}
    assert after == {line["name"]: line["outcome"] for line in decode_all(good)}


def test_headers_that_lie_about_sizes_cost_nothing(whole, tmp_path):
    webm, mp4 = whole["vp9.webm"], whole["h264.mp4"]
    width = webm.index(b"\xb0\x81\x40")  # PixelWidth 64
    matrix = mp4.index(b"\x00\x01\x00\x00" + bytes(12) + b"\x00\x01\x00\x00", mp4.index(b"tkhd"))
    frame = webm.index(b"\x49\x83\x42")  # the sync code of a VP9 key frame, its width and height after it
    lies = {
        "wide.webm": webm[: width + 2] + b"\xff" + webm[width + 3 :],
        "huge-frame.webm": webm[: frame + 4] + b"\xff\xff\xff\xff" + webm[frame + 8 :],
        "no-matrix.mp4": mp4[:matrix] + bytes(36) + mp4[matrix + 36 :],
        "far-turn.mp4": mp4[:matrix] + b"\x7f\xff\xff\xff" * 9 + mp4[matrix + 36 :],
        "empty.webm": b"",
        "no-end.webm": webm.replace(b"\x18\x53\x80\x67", b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff", 1),
    }
    for name, data in lies.items():
        (tmp_path / name).write_bytes(data)
    lines = {line["name"]: line for line in decode_all(tmp_path)}
    assert lines["huge-frame.webm"]["outcome"][0] == lines["empty.webm"]["outcome"][0] == "DecodeError"
    assert lines["wide.webm"]["outcome"] == lines["wide.webm"]["by_open"]
    assert lines.keys() == lies.keys()


@pytest.fixture
def listening():
    """A socket that nobody may call; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/real.webm"
        with pytest.raises(BlockingIOError):
            server.accept()


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1"><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\na=control:{}\nm=video 5004 RTP/AVP 96\n",
    "asx": '<asx version="3.0"><entry><ref href="{}"/></entry></asx>',
    "reference": "[Reference]\nRef1={}\n",
    "image": "{}",
}


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
def test_a_playlist_dressed_as_a_video_opens_nothing(whole, tmp_path, listening, decoder):
    """What it points at is a video, a pipe on which a reader would wait for ever, and a socket that hears a caller."""
    (tmp_path / "secret.webm").write_bytes(whole["vp9.webm"])
    os.mkfifo(tmp_path / "pipe.webm")
    folder = tmp_path / "videos"
    folder.mkdir()
    targets = [str(tmp_path / "secret.webm"), "../secret.webm", str(tmp_path / "pipe.webm"), listening]
    for name, text in PLAYLISTS.items():
        for number, target in enumerate(targets):
            for suffix in ("webm", "mp4"):
                (folder / f"{name}-{number}.{suffix}").write_text(text.format(target))
    lines = decode_all(folder, decoder, seconds=120)
    assert {line["outcome"][0] for line in lines} == {"DecodeError"}


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
def test_odd_names_are_only_names_and_what_is_no_file_is_refused(whole, tmp_path, decoder):
    folder = tmp_path / "videos"
    folder.mkdir()
    names = [
        "a b.webm",
        'it\'s "c".webm',
        "a&b|c;d.webm",
        "new\nline.webm",
        "http:d?e=f%20#.webm",
        "-i.webm",
        "%03d.webm",
    ]
    for name in [*names, "file:x.webm", "concat:a|b.webm", "ü和.webm", "\x1b[31m.webm"]:
        (folder / name).write_bytes(whole["vp9.webm"])
    (folder / "link.webm").symlink_to(folder / "a b.webm")  # whether links are allowed is for the caller to say
    good = {path.name for path in folder.iterdir()}
    (folder / "dangling.webm").symlink_to(tmp_path / "nothing")
    (folder / "loop.webm").symlink_to(folder / "loop.webm")
    (folder / "folder.webm").mkdir()
    (folder / "device.webm").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.webm")
    lines = {line["name"]: line["outcome"] for line in decode_all(folder, decoder, seconds=120)}
    assert {name for name, (kind, _) in lines.items() if kind == "clips"} == good
    assert len({lines[name][1] for name in good}) == 1


@pytest.mark.parametrize("decoder", ["in_process", "ffmpeg"])
def test_a_codec_outside_the_list_is_not_opened(tmp_path, decoder):
    folder = tmp_path / "videos"
    folder.mkdir()
    draw(folder / "rare.mkv", shape="64x48", frames=8, vcodec="snow", strict=-2)
    (line,) = decode_all(folder, decoder, seconds=120)
    assert line["outcome"][0] == "DecodeError"
