"""Parquet tables that hold the videos themselves."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.corpus.video_files import digest_videos, find_videos
from pipeline.errors import UserError
from pipeline.sources import open_video


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
        with open_video(hub, found[place], tmp_path / "scratch") as file:
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


def test_numbers_of_classes_without_names_are_no_captions(tmp_path):
    write(tmp_path / "x.parquet", [b"a", b"b"], label=[0, 1])
    with pytest.raises(UserError, match=r"x\.parquet: all captions are numbers, such as '0'; .* dataset\.classes"):
        read(tmp_path, caption="label")


def test_empty_cells_rows_beyond_the_end_and_pointers_are_reasons(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    write(tmp_path / "x.parquet", [None, pointer, b"v"], caption=["a", "b", "c"])
    named = ["x.parquet/video/0", "x.parquet/video/1", "x.parquet/video/3", "x.parquet/caption/1", "x.parquet/1"]
    told = [fault.detail for fault in digest_videos(tmp_path, named, 1)]
    for expected, detail in zip(
        (
            "is empty",
            "pointer of Git LFS",
            "has no row 3, but 3 rows",
            "no column 'caption' of bytes",
            "is not a row of a",
        ),
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


def write_paths(path, cells, group=3, **columns):
    """A table as the library datasets writes it, whose structs hold paths in place of bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    video = pa.array([{"bytes": content, "path": name} for content, name in cells], kind)
    pq.write_table(
        pa.table({"video": video, "caption": [f"said {n}" for n in range(len(cells))]}), path, group, **columns
    )


@pytest.mark.parametrize("kind", ["parquet", "auto"])
@pytest.mark.parametrize(
    ("at", "found"), [("clips/{}.mp4", "clips/{}.mp4"), ("data/clips/{}.mp4", "data/clips/{}.mp4")]
)
def test_cells_may_hold_paths_from_the_table_or_from_the_folder_of_videos(tmp_path, capsys, kind, at, found):
    write_paths(tmp_path / "data/train.parquet", [(None, f"clips/{number}.mp4") for number in range(5)])
    for number in range(5):
        (tmp_path / at.format(number)).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / at.format(number)).write_bytes(b"v")
    rows = read(tmp_path, kind)
    assert [row.video for row in rows] == [found.format(number) for number in range(5)]
    assert [row.label for row in rows] == [f"said {number}" for number in range(5)]
    assert "5 of 5 cells of video hold the path of a video in place of its bytes" in capsys.readouterr().err


def test_paths_of_another_machine_are_shortened_and_the_table_may_be_elsewhere(tmp_path):
    write_paths(tmp_path / "labels/x.parquet", [(None, f"/home/ann/.cache/{name}.mp4") for name in "ab"])
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/b.mp4").write_bytes(b"v")
    assert [row.video for row in read(tmp_path / "labels", videos=tmp_path / "videos")] == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("told", [True, False])
def test_bytes_go_before_paths_in_a_table_with_both(tmp_path, told):
    """Also where the file does not tell how many cells of a row group are empty."""
    cells = [
        (b"1", "1.mp4"),
        (None, "2.mp4"),
        (b"3", "3.mp4"),
        (None, "4.mp4"),
        (None, None),
        (b"", "6.mp4"),
        (b"7", ""),
    ]
    write_paths(tmp_path / "x.parquet", cells, group=2, write_statistics=told)
    videos = [row.video for row in read(tmp_path)]
    inside = "x.parquet/video/{}".format
    assert videos == [inside(0), "2.mp4", inside(2), "4.mp4", inside(4), "6.mp4", inside(6)]


def test_a_dotted_name_leads_into_a_struct_beside_the_bytes_as_of_finevideo(tmp_path):
    facts = [{"content_metadata": {"description": f"A man {number}"}, "scenes": [{"title": "x"}]} for number in (1, 2)]
    path = write(tmp_path / "train-0.parquet", [b"a", b"b"], struct=False, json=facts)
    for kind in ("parquet", "auto"):
        rows = read(path, kind, tmp_path, caption="json.content_metadata.description")
        assert [row.label for row in rows] == ["A man 1", "A man 2"]
    with pytest.raises(UserError, match=r"has no column 'text\.x' \(dataset\.columns\.caption\)"):
        read(path, videos=tmp_path, caption="text.x")
