"""Arrow tables, as `save_to_disk` of the library `datasets` writes them, and the names that it gives to numbers."""

import hashlib
import json

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.corpus.video_files import digest_videos, find_videos
from pipeline.errors import UserError
from pipeline.sources import open_video

NAMES = ["PullUp", "push_up"]


def describe(**features):
    return {"huggingface": json.dumps({"info": {"features": features}})}


def make_table(contents, **columns):
    videos = [{"bytes": content, "path": f"{number}.mp4"} for number, content in enumerate(contents)]
    numbered = describe(video={"_type": "Video"}, label={"names": NAMES, "_type": "ClassLabel"})
    return pa.table({"video": videos, **columns}).replace_schema_metadata(numbered)


def write(path, table, rows=2, indexed=False, compression=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with (pa.ipc.new_file if indexed else pa.ipc.new_stream)(str(path), table.schema, options=options) as file:
        file.write_table(table, max_chunksize=rows)
    return path


@pytest.fixture
def saved(tmp_path):
    """A set with two splits, as it is on the disk, with a result that was kept beside one of them."""
    for split, count in (("train", 5), ("test", 1)):
        contents = [f"{split} {number}".encode() for number in range(count)]
        table = make_table(contents, caption=[f"said {n}" for n in range(count)])
        write(tmp_path / split / "data-00000-of-00001.arrow", table)
        for name in ("state.json", "dataset_info.json"):
            (tmp_path / split / name).write_text("{}")
    write(tmp_path / "train/cache-0123456789abcdef.arrow", pa.table({"indices": [1, 0]}))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    return tmp_path


def read(labels, kind="parquet", **columns):
    dataset = reading(kind, labels, **columns)
    return read_rows(labels, dataset.model_copy(update={"videos": str(labels if labels.is_dir() else labels.parent)}))


@pytest.mark.parametrize("kind", ["parquet", "auto"])
def test_a_saved_set_has_the_rows_of_its_splits_and_nothing_of_its_caches(saved, kind):
    rows = [(row.video, row.label, row.official_split) for row in read(saved, kind)]
    assert rows[0] == ("test/data-00000-of-00001.arrow/video/0", "said 0", "test")
    assert rows[1:] == [(f"train/data-00000-of-00001.arrow/video/{n}", f"said {n}", "train") for n in range(5)]
    one = saved / "train/data-00000-of-00001.arrow"
    assert [row.label for row in read(one, kind)] == [f"said {n}" for n in range(5)]


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_its_videos_are_read_in_any_order(tmp_path, indexed, compression):
    contents = [f"video {number}".encode() for number in range(7)]
    table = make_table(contents, caption=list("abcdefg"))
    write(tmp_path / "x.arrow", table, rows=3, indexed=indexed, compression=compression)
    rows = read(tmp_path)
    found = find_videos(tmp_path, [(row.id, row.video) for row in rows], 1)
    assert digest_videos(tmp_path, found, 2) == [hashlib.sha256(content).hexdigest() for content in contents]
    for place in (6, 3, 4, 1, 0):
        with open_video(tmp_path, found[place], tmp_path / "scratch") as file:
            assert file.read_bytes() == contents[place]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_columns_of_bytes_of_any_kind(tmp_path, kind):
    write(tmp_path / "x.arrow", pa.table({"video": pa.array([b"one", b"two"], kind), "caption": ["a", "b"]}))
    assert [row.video for row in read(tmp_path)] == ["x.arrow/video/0", "x.arrow/video/1"]
    assert digest_videos(tmp_path, ["x.arrow/video/1"], 1) == [hashlib.sha256(b"two").hexdigest()]


def test_a_path_counts_where_there_are_no_bytes(tmp_path):
    cells = pa.array(
        [{"bytes": None, "path": "a.mp4"}, {"bytes": b"held", "path": "b.mp4"}, {"bytes": b"", "path": "c.mp4"}]
    )
    write(tmp_path / "x.arrow", pa.table({"video": cells, "caption": ["a", "b", "c"]}))
    assert [row.video for row in read(tmp_path)] == ["a.mp4", "x.arrow/video/1", "c.mp4"]


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_numbers_of_classes_have_the_names_that_the_table_gives_them(tmp_path, kind):
    table = make_table([b"v"] * 3, label=[1, 0, -1])
    path = tmp_path / f"x.{kind}"
    write(path, table) if kind == "arrow" else pq.write_table(table, path)
    for rows in (read(tmp_path, caption="label"), read(tmp_path, "auto")):
        assert [(row.label, row.template) for row in rows] == [("push up", "push_up"), ("pull up", "PullUp"), ("", "")]


def test_numbers_of_categories_have_names_too(tmp_path):
    write(tmp_path / "x.arrow", make_table([b"v"] * 2, label=[1, 0], caption=["one pushes", "one pulls"]))
    rows = read(tmp_path, category="label")
    assert [(row.label, row.template) for row in rows] == [("one pushes", "push_up"), ("one pulls", "PullUp")]


def test_a_table_of_paths_is_a_table(tmp_path, capsys):
    write(tmp_path / "x.arrow", pa.table({"path": ["a.mp4"], "caption": ["x"]}))
    (tmp_path / "dataset_info.json").write_text("{}")
    for labels in (tmp_path, tmp_path / "x.arrow"):
        (row,) = read(labels, "auto")
        assert (row.video, row.label) == ("a.mp4", "x")
        assert f"auto reads {labels} as table" in capsys.readouterr().out


@pytest.mark.parametrize("metadata", [b"{", b'{"info": []}', b'{"info": {"features": {"label": 1}}}', b"\xff"])
def test_odd_metadata_name_no_classes(tmp_path, metadata):
    table = pa.table({"video": [b"v"], "label": ["up"]}).replace_schema_metadata({b"huggingface": metadata})
    write(tmp_path / "x.arrow", table)
    (row,) = read(tmp_path, caption="label")
    assert row.label == "up"


def test_a_damaged_file_is_refused(tmp_path):
    whole = write(tmp_path / "x.arrow", make_table([b"video"] * 6, caption=list("abcdef"))).read_bytes()
    batches = [place for place in range(len(whole)) if whole[place : place + 4] == b"\xff" * 4]
    for content in (b"", b"x", whole[:9], whole[: batches[2]], whole[:-8], whole[: len(whole) // 2]):
        (tmp_path / "x.arrow").write_bytes(content)
        with pytest.raises(UserError, match=r"x\.arrow: (not a whole Arrow file: |holds no bytes|empty)"):
            read(tmp_path)


def test_offsets_that_lead_out_of_the_file_are_refused(tmp_path):
    path = write(tmp_path / "x.arrow", pa.table({"video": [b"12345", b"6789"], "caption": ["a", "b"]}))
    content = path.read_bytes()
    offsets = b"".join(place.to_bytes(4, "little") for place in (0, 5, 9))
    assert content.count(offsets) == 1
    path.write_bytes(content.replace(offsets, offsets[:8] + (1 << 30).to_bytes(4, "little")))
    with pytest.raises(UserError, match=r"x\.arrow: not a whole Arrow file: .*out of bounds"):
        read(tmp_path)
