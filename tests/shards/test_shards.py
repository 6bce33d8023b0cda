import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.shards import ShardReader, formats, write_index, write_shard

SHAPE = (4, 6, 8)  # T, H, W
FORMATS = ["parquet", "npz"]


def rows_of(count, first=0):
    rng = np.random.default_rng(first)
    return [
        (f"{first + k:04}", f"pushing ünï {k}", rng.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)) for k in range(count)
    ]


def write_folder(folder, kind, counts=(5, 3, 1)):
    """Shards of the given numbers of clips and their index; the rows in order."""
    rows, shards = [], []
    for number, count in enumerate(counts):
        part = rows_of(count, first=len(rows))
        shards.append(write_shard(folder / f"clips-{number:05}.{kind}", part))
        rows += part
    write_index(folder, SHAPE, shards)
    return rows


def frames_of(rows):
    return np.stack([frames for _, _, frames in rows])


@pytest.mark.parametrize("kind", FORMATS)
def test_clips_come_back_as_they_were_written(tmp_path, kind):
    rows = write_folder(tmp_path, kind)
    reader = ShardReader(tmp_path)
    assert len(reader) == 9
    assert reader.shape == (*SHAPE, 3)
    assert reader.ids == [row[0] for row in rows]
    assert reader.captions == [row[1] for row in rows]
    assert np.array_equal(reader.frames(range(9)), frames_of(rows))
    reader.verify()


@pytest.mark.parametrize("kind", FORMATS)
def test_any_rows_in_any_order_are_read_from_their_shards(tmp_path, kind):
    rows = write_folder(tmp_path, kind)
    order = [8, 0, 5, 5, 4, 7]
    batch = ShardReader(tmp_path).frames(order)
    assert np.array_equal(batch, frames_of(rows)[order])
    batch[:] = 0  # a copy: the shard stays as it is
    assert np.array_equal(ShardReader(tmp_path).frames(order), frames_of(rows)[order])


@pytest.mark.parametrize("kind", FORMATS)
def test_equal_clips_give_equal_bytes(tmp_path, kind):
    for name in ("one", "other"):
        write_folder(tmp_path / name, kind)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_shards_are_mapped_in_place(tmp_path, kind):
    rows = write_folder(tmp_path, kind, counts=(70, 3))
    reader = ShardReader(tmp_path)
    assert reader.mapped
    stored = (tmp_path / f"clips-00000.{kind}").read_bytes()
    assert frames_of(rows[:70]).tobytes() in stored


def test_a_long_shard_is_mapped_through_all_its_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "GROUP_BYTES", 3 * frames_of(rows_of(1)).nbytes)
    rows = write_folder(tmp_path, "parquet", counts=(8,))
    reader = ShardReader(tmp_path)
    assert pq.read_metadata(tmp_path / "clips-00000.parquet").num_row_groups == 3
    assert reader.mapped
    assert np.array_equal(reader.frames([7, 0, 2, 3]), frames_of(rows)[[7, 0, 2, 3]])
    assert pq.read_table(tmp_path / "clips-00000.parquet")["frames"].to_pylist() == [r[2].tobytes() for r in rows]


def test_the_least_and_greatest_id_of_a_row_group_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "GROUP_BYTES", 3 * frames_of(rows_of(1)).nbytes)
    write_folder(tmp_path, "parquet", counts=(8,))
    file = pq.read_metadata(tmp_path / "clips-00000.parquet")
    found = [file.row_group(number).column(0).statistics for number in range(3)]
    assert [(one.min, one.max) for one in found] == [("0000", "0002"), ("0003", "0005"), ("0006", "0007")]
    assert file.row_group(0).column(2).statistics is None  # of frames they would be two whole clips


def test_ids_and_captions_are_read_without_the_frames(tmp_path):
    """Their column chunks lie together, and end before the frames of their row group begin."""
    write_folder(tmp_path, "parquet", counts=(70,))
    group = pq.read_metadata(tmp_path / "clips-00000.parquet").row_group(0)
    chunks = [group.column(number) for number in range(3)]
    assert [chunk.path_in_schema for chunk in chunks] == ["id", "caption", "frames"]
    ends = [chunk.data_page_offset + chunk.total_compressed_size for chunk in chunks]
    assert ends[0] == chunks[1].data_page_offset and ends[1] == chunks[2].data_page_offset
    assert ends[1] < 70 * 50


def test_any_parquet_tool_reads_a_shard(tmp_path):
    rows = write_folder(tmp_path, "parquet")
    table = pq.read_table(tmp_path / "clips-00000.parquet")
    assert table.column_names == ["id", "caption", "frames"]
    assert table["frames"].to_pylist() == [frames.tobytes() for _, _, frames in rows[:5]]
    assert json.loads(table.schema.metadata[b"shape"]) == [*SHAPE, 3]


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd"},
        {"row_group_size": 16},
        {"data_page_size": 1000, "use_dictionary": False, "compression": "none", "write_batch_size": 1},
        {"data_page_version": "2.0", "use_dictionary": False, "compression": "none"},
        {"use_dictionary": ["frames"], "compression": "none"},
    ],
    ids=str,
)
@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize("flat", [True, False])
def test_a_shard_that_another_program_wrote_is_read_right(tmp_path, options, nullable, flat):
    rows = write_folder(tmp_path, "parquet", counts=(70,))
    if flat:  # pages cannot be told apart by looking at black clips
        rows = [(*row[:2], np.zeros_like(row[2])) for row in rows[:-1]] + rows[-1:]
    width = rows[0][2].size
    fields = [
        pa.field("frames", pa.binary(width), nullable),
        pa.field("id", pa.string()),
        pa.field("caption", pa.string()),
    ]
    columns = {
        "frames": [row[2].tobytes() for row in rows],
        "id": [r[0] for r in rows],
        "caption": [r[1] for r in rows],
    }
    table = pa.table(columns, schema=pa.schema(fields))
    pq.write_table(table, tmp_path / "clips-00000.parquet", **options)
    assert np.array_equal(ShardReader(tmp_path).frames(range(70)), frames_of(rows))


def test_a_clip_without_frames_is_refused(tmp_path):
    write_folder(tmp_path, "parquet", counts=(2,))
    width = int(np.prod(SHAPE)) * 3
    table = pa.table(
        {"id": ["a", "b"], "caption": ["", ""], "frames": pa.array([bytes(width), None], pa.binary(width))}
    )
    pq.write_table(table, tmp_path / "clips-00000.parquet")
    with pytest.raises(UserError, match=r"clips-00000\.parquet: .*1 clips without frames"):
        ShardReader(tmp_path).frames([0])


@pytest.mark.parametrize("kind", FORMATS)
def test_a_missing_shard_is_named(tmp_path, kind):
    write_folder(tmp_path, kind)
    (tmp_path / f"clips-00001.{kind}").unlink()
    with pytest.raises(UserError, match=rf"clips-00001\.{kind}: the index names this shard, but it is gone"):
        ShardReader(tmp_path)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_a_truncated_shard_is_named(tmp_path, kind, share):
    write_folder(tmp_path, kind)
    path = tmp_path / f"clips-00001.{kind}"
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(UserError, match=rf"clips-00001\.{kind}: not a shard of frames"):
        ShardReader(tmp_path)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_shard_of_other_clips_is_refused(tmp_path, kind):
    write_folder(tmp_path, kind)
    write_shard(tmp_path / f"clips-00001.{kind}", rows_of(2))
    with pytest.raises(UserError, match=r"holds 2 clips where index\.json says 3"):
        ShardReader(tmp_path)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_shard_of_another_shape_is_refused(tmp_path, kind):
    write_folder(tmp_path, kind)
    small = [(name, caption, frames[:, :2]) for name, caption, frames in rows_of(3)]
    write_shard(tmp_path / f"clips-00001.{kind}", small)
    with pytest.raises(UserError, match=rf"clips-00001\.{kind}: "):
        ShardReader(tmp_path)


def test_one_altered_byte_is_found(tmp_path):
    write_folder(tmp_path, "parquet")
    path = tmp_path / "clips-00001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"clips-00001\.parquet: altered"):
        ShardReader(tmp_path).verify()


def test_a_folder_without_its_index_is_not_whole(tmp_path):
    write_folder(tmp_path, "parquet")
    (tmp_path / "index.json").unlink()
    with pytest.raises(UserError, match=r"no index\.json, so its shards are not whole"):
        ShardReader(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", '{"shape": 3, "shards": []}', '{"shape": [1, 2, 3, 3], "shards": [1]}'),
        *(f'{{"shape": [{side}, 2, 3, 3], "shards": []}}' for side in ("1e30", "-1", "0", "Infinity", "NaN", 2**70)),
    ],
)
def test_a_broken_index_is_named(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(UserError, match=r"index\.json: not (JSON|an index)"):
        ShardReader(tmp_path)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_failed_write_leaves_nothing(tmp_path, kind):
    rows = [*rows_of(2), ("x", "other shape", np.zeros((1, 1, 1, 3), np.uint8))]
    with pytest.raises(ValueError, match="same shape"):
        write_shard(tmp_path / f"clips-00000.{kind}", rows)
    assert list(tmp_path.iterdir()) == []
