"""Labels read in a sandbox: the same rows, and nothing but rows, whatever a file does to the reader."""

import json
import math
import os
import socket
import struct
from pathlib import Path

import openpyxl
import planted_readers
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from label_files import CASES, FILES, describe, write_files
from labels import rows, write_labels, write_videos
from settings import filtering, reading

from pipeline.compute.child import BadAnswer, pack_texts
from pipeline.compute.isolation import find_missing
from pipeline.corpus import WHOLE, LabelRow, Segment
from pipeline.corpus import sandboxed as sandboxing
from pipeline.corpus.readers import read_rows
from pipeline.corpus.sandboxed import call_reader, read_labels
from pipeline.errors import UserError
from pipeline.params import DatasetParams
from stages.filter_labels import filter_labels

sandboxed = pytest.mark.skipif(bool(find_missing()), reason=f"this kernel lacks {find_missing()}")
ODD = [
    LabelRow("1", "a\0b\x1f", "", ("", "\ud800"), (), "all", ("", ""), "\udcff.mp4", Segment(0.5, 2.0), "", "g"),
    LabelRow("", "ü 𝄞", "t", (), ("x",), "test", ("f", "line 2"), "", WHOLE, "it is empty", "", "", "r"),
    LabelRow("2", "\n", "t", ("a", "b", "c"), (), "train", ("f", "line 3"), "", Segment(1, math.inf)),
]
ANSWERS = {  # what an intruder answers, and what is said of it
    "no-list": (3, b"", "not rows in blocks"),
    "no-numbers": ({"rows": ["1"], "bytes": [0] * 17}, b"", "not rows in blocks"),
    "many-rows": ({"rows": [1 << 40], "bytes": [0] * 17}, b"", "not rows in blocks"),
    "other-columns": ({"rows": [1], "bytes": [2, 3]}, b"12345", "invalid lengths of 17 parts"),
    "no-lengths": ({"rows": [1], "bytes": ["1"] * 17}, b"", "invalid lengths of 17 parts"),
    "negative": (
        {"rows": [1], "bytes": [-1, 1, *[0] * 15]},
        b"",
        "0 bytes, which do not match the lengths of 17 parts",
    ),
    "too-short": ({"rows": [1], "bytes": [9] * 17}, b"", "0 bytes, which do not match the lengths of 17 parts"),
    "too-long": ({"rows": [], "bytes": []}, b"more", "4 bytes, which do not match the lengths of 0 parts"),
    "no-texts": ({"rows": [1], "bytes": [0] * 17}, b"", "0 texts in place of 1"),
}


@pytest.mark.slow
def test_every_format_is_read_in_a_sandbox_as_in_this_process(tmp_path, capsys):
    """All in one process; `auto` reads each as what it is."""
    cases = {f"{kind}{number}": case for kind, listed in CASES.items() for number, case in enumerate(listed)}
    write_files(tmp_path, {f"{name}/{file}": text for name, case in cases.items() for file, text in case.items()})
    write_files(tmp_path, {f"file-{kind}-{name}": content for kind, (name, content) in FILES.items()})
    pq.write_table(pa.table({"path": ["a.mp4"], "caption": ["x"]}), tmp_path / "x.parquet")
    book = openpyxl.Workbook()
    for row in (("path", "caption"), ("a.mp4", "ü")):
        book.active.append(row)
    book.save(tmp_path / "x.xlsx")
    dataset = describe("auto", tmp_path)
    expected = list(planted_readers.read_all(tmp_path, dataset))
    printed = capsys.readouterr()
    found = call_reader(planted_readers.read_all, tmp_path, dataset, tmp_path, "auto")
    assert found == expected
    assert len(found) > len(cases)
    assert capsys.readouterr() == printed


@pytest.mark.parametrize("listed", [[], ODD, ODD[:1] * 3, [ODD[0], *ODD[1:] * 2]])
def test_odd_rows_are_the_same_after_their_way(listed, monkeypatch):
    monkeypatch.setattr(sandboxing, "BLOCK", 2)
    value, contents = sandboxing._send_rows(lambda *_: listed, Path(), reading("something"))
    found = sandboxing._receive_rows(json.loads(json.dumps(value)), bytearray(b"".join(contents)))
    assert found == listed
    assert {type(row) for row in found} <= {LabelRow}
    assert {type(row.segment) for row in found} <= {Segment}


@pytest.mark.parametrize(("value", "content", "told"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_holds_no_rows_is_refused(value, content, told):
    with pytest.raises(BadAnswer, match=told):
        sandboxing._receive_rows(value, bytearray(content))


@pytest.mark.parametrize(
    ("column", "data"),
    [
        ("official split", pack_texts(["best"])),
        ("id", b"\x00\xff"),
        ("id", pack_texts(["1", "2", "3"])),
        ("placeholders", pack_texts(["a"])),
        ("numbers of placeholders", struct.pack("=QQ", 1 << 62, 0)),
        ("starts", struct.pack("=dd", math.nan, 0)),
        ("starts", struct.pack("=dd", -1, 0)),
        ("starts", struct.pack("=dd", math.inf, 0)),
        ("ends", struct.pack("=dd", 0, 0)),
        ("ends", b"1234"),
    ],
)
def test_a_column_that_cannot_be_is_refused(column, data):
    columns = sandboxing._pack_rows(ODD[1:])
    columns[sandboxing.COLUMNS.index(column)] = data
    with pytest.raises((BadAnswer, UnicodeDecodeError)):
        sandboxing._receive_rows({"rows": [2], "bytes": [*map(len, columns)]}, bytearray(b"".join(columns)))


def test_a_reader_of_the_users_own_runs_in_this_process(tmp_path):
    [row] = read_labels(tmp_path, reading("planted_readers:read_own", tmp_path), "require")
    assert row.label == str(os.getpid())


@sandboxed
def test_links_into_the_cache_are_followed_and_others_are_not(tmp_path):
    """As DVC puts them there; what else may be linked could be anything of the user's."""
    cache = tmp_path / ".dvc" / "cache" / "files" / "md5" / "0a" / f"{7:030}"
    write_labels(cache, rows(3))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "train.json").symlink_to(cache)
    dataset = reading("something", tmp_path / "labels")
    assert read_labels(tmp_path / "labels", dataset, "auto") == read_rows(tmp_path / "labels", dataset)
    write_labels(tmp_path / "secret" / "val.json", rows(2))
    (tmp_path / "labels" / "validation.json").symlink_to(tmp_path / "secret" / "val.json")
    with pytest.raises(UserError, match=r"labels/validation\.json: permission denied; what reads .* opens what"):
        read_labels(tmp_path / "labels", dataset, "auto")


@sandboxed
@pytest.mark.parametrize("absolute", [False, True])
def test_class_names_are_read_where_params_place_them_and_not_where_a_link_leads(tmp_path, absolute):
    write_files(tmp_path, {"lists/train.txt": "a.mp4 0\nb.mp4 1\n", "names.txt": "0 push\n1 pull\n"})
    dataset = reading("lists", tmp_path / "lists")
    named = {name: dataset.model_copy(update={"classes": name}) for name in ("../names.txt", "link.txt")}
    outside = dataset.model_copy(update={"classes": str(tmp_path / "names.txt")}) if absolute else named["../names.txt"]
    assert [row.label for row in read_labels(tmp_path / "lists", outside, "auto")] == ["push", "pull"]
    (tmp_path / "lists" / "link.txt").symlink_to(tmp_path / "names.txt")
    with pytest.raises(UserError, match=r"lists/link\.txt: permission denied"):
        read_labels(tmp_path / "lists", named["link.txt"], "auto")


@pytest.fixture
def attempt(tmp_path, monkeypatch):
    """Run `filter` on labels whose reader is taken over -> its message; what an earlier run wrote is left as it is."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "secret").write_text("secret")
    write_videos(tmp_path / "videos", [item["id"] for item in rows(40)])
    places = [tmp_path / name for name in ("labels.json", "videos", "none.vec", "out")]
    dataset: DatasetParams = reading("something", places[0])
    write_labels(places[0], rows(40))
    filter_labels(*places, dataset, filtering(categories=["*"]), 1)
    made = {path: path.read_bytes() for path in places[3].rglob("*") if path.is_file()}
    monkeypatch.setattr(sandboxing, "_send_rows", planted_readers.send_rows)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)

        def run(**plan):
            outside = {"secret": str(tmp_path / "home" / "secret"), "outside": str(tmp_path / "home" / "made")}
            outside |= {"port": str(server.getsockname()[1]), "video": str(tmp_path / "videos" / "1.webm")}
            places[0].write_text(json.dumps(outside | plan))
            with pytest.raises(UserError) as told:
                filter_labels(*places, dataset, filtering(categories=["*"]), 1, sandbox="auto")
            with pytest.raises(BlockingIOError):
                server.accept()
            return str(told.value)

        yield run
    assert {path: path.read_bytes() for path in places[3].rglob("*") if path.is_file()} == made
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["secret"]
    assert (tmp_path / "videos" / "1.webm").read_bytes() == b"video 1"


@sandboxed
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("read-secret", "refused: PermissionError(13, 'Permission denied')"),
        pytest.param("read-users", "refused: PermissionError(13, 'Permission denied')", marks=pytest.mark.slow),
        pytest.param("write-outside", "refused: PermissionError(13, 'Permission denied')", marks=pytest.mark.slow),
        pytest.param("write-video", "refused: PermissionError(13, 'Permission denied')", marks=pytest.mark.slow),
        pytest.param("remove-video", "refused: PermissionError(13, 'Permission denied')", marks=pytest.mark.slow),
        pytest.param("connect", "that its sandbox forbids (SIGSYS), 2 times", marks=pytest.mark.slow),
        pytest.param("start-program", "that its sandbox forbids (SIGSYS), 2 times", marks=pytest.mark.slow),
        pytest.param("make-code", "refused: PermissionError(1, 'Operation not permitted')", marks=pytest.mark.slow),
        pytest.param("send-pickle", "sent an invalid answer: a message of kind b'c'", marks=pytest.mark.slow),
        pytest.param("claim-huge-length", "sent an invalid answer: a message of kind b'a'", marks=pytest.mark.slow),
        pytest.param("nest-deeply", "sent an invalid answer: a message that is not JSON", marks=pytest.mark.slow),
    ],
)
def test_a_reader_that_is_taken_over_does_nothing_and_is_told_in_one_message(attempt, name, message):
    told = attempt(attempt=name)
    assert message in told
    assert len(told.splitlines()) == 1


@sandboxed
def test_a_wrong_answer_names_the_labels_and_leaves_what_was_made(attempt):
    told = attempt(answer={"rows": [1], "bytes": [0] * 17}, content="")
    assert "labels.json: cannot be read: the worker sent an invalid answer: 0 texts in place of 1; a file in" in told
