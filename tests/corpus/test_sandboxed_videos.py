"""Videos in archives and tables, looked for and digested in a sandbox: the same answers, and nothing but answers."""

import json
from functools import partial

import planted_readers
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import write_tar, write_zip

from pipeline.compute.child import BadAnswer, pack_texts
from pipeline.compute.isolation import find_missing
from pipeline.corpus import sandboxed as sandboxing
from pipeline.corpus.sandboxed import VideoLookup
from pipeline.corpus.video_names import NoVideo
from pipeline.errors import UserError
from pipeline.records import Drop

sandboxed = pytest.mark.skipif(bool(find_missing()), reason=f"this kernel lacks {find_missing()}")
DIGEST = "0" * 64


@pytest.fixture
def videos(tmp_path):
    """Videos in every kind of container, and beside them."""
    top = tmp_path / "videos"
    (top / "below").mkdir(parents=True)
    (top / "a.mp4").write_bytes(b"alone")
    write_tar(top / "x.tar", {"b.mp4": b"in a tar", "c/0.jpg": b"1", "c/1.jpg": b"2", "e.mp4": b""})
    write_zip(top / "below/y.zip", {"d.mp4": b"in a zip"})
    pq.write_table(pa.table({"video": [b"in a cell", None]}), top / "t.parquet")
    (top / "bad.zip").write_bytes(b"PK")
    return top


PATHS = ["a.mp4", "x.tar/b.mp4", "x.tar/c", "b", "below/y.zip/d.mp4", "t.parquet/video/0", "t.parquet/video/1"]
PATHS += ["x.tar/e.mp4", "bad.zip/a.mp4", "gone.mp4", "**/a.mp4", "../a.mp4", "\ud800.mp4"]


def look_up(videos, sandbox):
    lookup = VideoLookup(videos, 2, sandbox=sandbox)
    found = lookup.find([(f"id {number}", path) for number, path in enumerate(PATHS)])
    digests = lookup.digest([file for file in found if isinstance(file, str)])
    told = [(digest.reason, digest.detail) if isinstance(digest, NoVideo) else digest for digest in digests]
    return found, told, lookup.suggest(["b.mp4"])


@sandboxed
def test_a_sandbox_finds_and_digests_as_this_process_does(videos, capsys):
    expected = look_up(videos, "off")
    printed = capsys.readouterr()
    assert look_up(videos, "auto") == expected
    assert capsys.readouterr() == printed
    found, digests, suggestion = expected
    assert [isinstance(file, str) for file in found] == [True] * 7 + [False] * 3 + [True] + [False] * 2
    assert sum(isinstance(digest, str) for digest in digests) == 7
    assert "x.tar/b.mp4" in suggestion


@sandboxed
def test_an_archive_may_be_the_folder(videos):
    lookup = VideoLookup(videos / "x.tar", 1, sandbox="auto")
    assert lookup.find([("b", "")]) == ["b.mp4"]
    assert lookup.digest(["b.mp4"]) == VideoLookup(videos / "x.tar", 1).digest(["b.mp4"])


def test_files_alone_need_no_sandbox(tmp_path, monkeypatch):
    monkeypatch.setattr(sandboxing, "read_sandboxed", None)
    (tmp_path / "a.mp4").write_bytes(b"alone")
    lookup = VideoLookup(tmp_path, 1, sandbox="require")
    assert lookup.find([("a", "")]) == ["a.mp4"]
    assert len(lookup.digest(["a.mp4"])[0]) == 64
    assert lookup.suggest(["b.mp4"]) == ""


@sandboxed
def test_the_folder_is_listed_once_for_all_questions(videos, monkeypatch):
    listed = []
    holds = sandboxing.holds_containers
    monkeypatch.setattr(sandboxing, "holds_containers", lambda folder: listed.append(folder) or holds(folder))
    look_up(videos, "auto")
    assert listed == [videos]


@sandboxed
@pytest.mark.parametrize("attempt", ["read-secret", "connect", "write-outside"])
def test_what_an_archive_takes_over_can_do_nothing(videos, tmp_path, monkeypatch, attempt):
    (tmp_path / "secret").write_text("secret")
    plan = {"attempt": attempt, "secret": str(tmp_path / "secret"), "port": 9, "outside": str(tmp_path / "new")}
    (videos / "plan").write_text(json.dumps(plan))
    monkeypatch.setattr(sandboxing, "_send_found", planted_readers.send_videos)
    with pytest.raises(UserError, match=r"refused|sent an invalid answer|forbids"):
        VideoLookup(videos, 1, sandbox="auto").find([("1", "x.tar/b.mp4")])
    assert not (tmp_path / "new").exists()


def found(files, reasons=(), details=(), digested=(), digests=()):
    return [files, reasons, details, digested, digests]


LIES = {
    "elsewhere": (found(["../secret"]), "leads elsewhere"),
    "absolute": (found(["/etc/passwd"]), "leads elsewhere"),
    "reason": (found([""], ["because"], ["x"]), "an unknown reason"),
    "pictures": (found(["a"], digested=["../b"], digests=[DIGEST]), "leads elsewhere"),
    "digest": (found(["a"], digested=["a"], digests=["0"]), "not a SHA-256"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_found_out(lie):
    columns, told = LIES[lie]
    shapes, contents = sandboxing._pack_answer(*columns)
    with pytest.raises(BadAnswer, match=told):
        sandboxing._receive_found(["1"], shapes, bytearray(b"".join(contents)))


@pytest.mark.parametrize("columns", [found(["a", "b"]), found([]), found([""]), found(["a"], ["too_short"], ["x"])])
def test_too_few_and_too_many_are_found_out(columns):
    shapes, contents = sandboxing._pack_answer(*columns)
    with pytest.raises(ValueError, match="zip"):
        sandboxing._receive_found(["1"], shapes, bytearray(b"".join(contents)))


@pytest.mark.parametrize("value", [None, 1, [], [2] * 4, [3, -1, 0, 0, 0], ["2", 0, 0, 0, 0], [9, 0, 0, 0, 0]])
def test_other_shapes_are_found_out(value):
    with pytest.raises(BadAnswer):
        sandboxing._receive_found(["1"], value, bytearray(pack_texts(["a"])))


def test_digests_are_checked():
    receive = partial(sandboxing._receive_digests, ["a", "b"])
    shapes, contents = sandboxing._pack_answer([DIGEST, ""], ["unusable_video"], ["b is damaged\x1b"])
    digests = receive(shapes, bytearray(b"".join(contents)))
    assert digests["a"] == DIGEST
    assert digests["b"].detail == r"b is damaged\x1b"
    shapes, contents = sandboxing._pack_answer(["no digest", DIGEST], [], [])
    with pytest.raises(BadAnswer):
        receive(shapes, bytearray(b"".join(contents)))


def test_reasons_are_those_of_records():
    assert Drop("1", sandboxing.REASONS["empty_video"], "").reason == "empty_video"
