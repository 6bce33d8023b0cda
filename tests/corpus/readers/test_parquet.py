"""Parquet tables that hold the videos themselves."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.corpus.video_files import digest_videos, find_videos
from pipeline.errors import UserError
from pipeline.sources import opened


def read(labels, kind="parquet", videos=None, **columns):
    dataset = reading(kind, labels, **columns)
    return read_rows(labels, dataset.model_copy(update={"videos": str(videos or labels)}))


def seen(rows):
    return [(row.id, row.video, row.label, row.official_split) for row in rows]


def write(path, contents, struct=True, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": content, "path": f"{number}.mp4"} for number, content in enumerate(contents)]
    table = pa.table({"video": cells if struct else contents, **columns})
    pq.write_table(table, path, row_group_size=3)
    return path


@pytest.fixture
def hub(tmp_path):
    """Tables as the Hub has them: two of one split and one of another."""
    for part in (0, 1):
        contents = [f"video {part} {number}".encode() for number in range(7)]
        write(tmp_path / f"data/train-0000{part}-of-00002.parquet", contents, caption=[f"said {n}" for n in range(7)])
    write(tmp_path / "data/test-00000-of-00001.parquet", [b"test"], caption=["a test"])
    return tmp_path


@pytest.mark.parametrize("kind", ["parquet", "auto"])
def test_rows_of_all_tables_with_their_splits(hub, kind):
    rows = seen(read(hub, kind))
    assert len(rows) == 15
    assert rows[0] == (
        "data+test-00000-of-00001.parquet+video+0",
        "data/test-00000-of-00001.parquet/video/0",
        "a test",
        "test",
    )
    assert rows[-1][1:] == ("data/train-00001-of-00002.parquet/video/6", "said 6", "train")


def test_cells_are_digested_and_opened_in_any_order(hub, tmp_path):
    rows = read(hub)
    found = find_videos(hub, [(row.id, row.video) for row in rows], 1)
    expected = [b"test", *(f"video {part} {number}".encode() for part in (0, 1) for number in range(7))]
    assert digest_videos(hub, found, 2) == [hashlib.sha256(content).hexdigest() for content in expected]
    for place in (14, 3, 4, 9, 1, 0):
        with opened(hub, found[place], tmp_path / "scratch") as file:
            assert file.read_bytes() == expected[place]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_a_plain_column_of_bytes_of_any_kind(tmp_path, kind):
    path = write(tmp_path / "x.parquet", pa.array([b"one", b"two"], kind), struct=False, caption=["a", "b"])
    assert [row.video for row in read(path, videos=tmp_path)] == ["x.parquet/video/0", "x.parquet/video/1"]
    assert digest_videos(tmp_path, ["x.parquet/video/1"], 1) == [hashlib.sha256(b"two").hexdigest()]


def test_the_other_columns_have_the_names_given(tmp_path):
    write(tmp_path / "x.parquet", [b"v"], text=[["one", "two"]], label=["up"], key=["k"], poster=[b"png"])
    with pytest.raises(UserError, match=r"columns of bytes are video, poster; name .* dataset\.columns\.path"):
        read(tmp_path, caption="text")
    rows = read(tmp_path, path="video", caption="text", category="label", id="key")
    assert [(row.id, row.label, row.template) for row in rows] == [("k", "one", "up"), ("k~2", "two", "up")]


def test_empty_cells_rows_beyond_the_end_and_pointers_are_reasons(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    write(tmp_path / "x.parquet", [None, pointer, b"v"], caption=["a", "b", "c"])
    named = ["x.parquet/video/0", "x.parquet/video/1", "x.parquet/video/3", "x.parquet/caption/1", "x.parquet/1"]
    told = [fault.detail for fault in digest_videos(tmp_path, named, 1)]
    for expected, detail in zip(
        ("is empty", "pointer of Git LFS", "has no row 3, but 3 rows", "no column 'caption' of bytes", "no row of a"),
        told,
        strict=True,
    ):
        assert expected in detail


def test_tables_without_videos_are_read_as_tables(tmp_path, capsys):
    pq.write_table(pa.table({"path": ["a.mp4"], "caption": ["x"]}), tmp_path / "train.parquet")
    assert len(read(tmp_path, "auto")) == 1
    assert "as table" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"columns of bytes are none; its columns: path, caption"):
        read(tmp_path)
