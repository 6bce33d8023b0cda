"""Reading shards that cannot be mapped in place, and more shards than may be open at once."""

import resource
from collections import Counter
from itertools import pairwise

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import shards as folder
from pipeline.errors import UserError
from pipeline.shards import ShardReader, write_index, write_shard

SHAPE = (2, 4, 4)  # T, H, W
WIDTH = 2 * 4 * 4 * 3


def frames_of(count):
    return np.random.default_rng(count).integers(0, 256, (count, *SHAPE, 3), dtype=np.uint8)


def write_groups(folder, counts, group=4, **options):
    """Compressed Parquet shards of `counts` clips with row groups of `group` clips, as another tool would; frames."""
    frames, shards, first = frames_of(sum(counts)), [], 0
    for number, count in enumerate(counts):
        part = frames[first : first + count]
        rows = [(f"{first + k:04}", "", clip) for k, clip in enumerate(part)]
        shards.append(write_shard(folder / f"{number}.parquet", rows))
        names = [row[0] for row in rows]
        table = pa.table({"frames": pa.array([c.tobytes() for c in part], pa.binary()), "id": names, "caption": names})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=group, **{"compression": "zstd", **options})
        first += count
    write_index(folder, SHAPE, shards)
    return frames


def count_loads(shards, monkeypatch):
    """A counter of how often each row group is loaded from now on."""
    loads = Counter()
    load = shards._load_group

    def counting(number):
        loads[number] += 1
        return load(number)

    monkeypatch.setattr(shards, "_load", folder.lru_cache(shards._held)(counting))
    return loads


def hold(monkeypatch, clips):
    monkeypatch.setattr(folder, "HELD_BYTES", clips * WIDTH)


def test_frames_are_right_where_values_have_no_fixed_width(tmp_path):
    frames = write_groups(tmp_path, [9, 3, 6])
    order = [17, 0, 8, 9, 9, 3]
    assert np.array_equal(ShardReader(tmp_path).frames(order), frames[order])


@pytest.mark.parametrize(
    "kind",
    [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(WIDTH)],
    ids=str,
)
@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.binary_view()])
def test_every_kind_of_bytes_and_text_of_arrow_is_read(tmp_path, kind, text):
    """DataFusion, for one, gives bytes and text back as views."""
    frames = write_groups(tmp_path, [7])
    names = [f"{number} é" for number in range(7)]
    columns = {
        "id": pa.array([name.encode() for name in names]).cast(pa.string()).cast(text),
        "caption": pa.array([b"up"] * 7).cast(pa.string()).cast(text),
        "frames": pa.array([clip.tobytes() for clip in frames], kind),
    }
    pq.write_table(pa.table(columns), tmp_path / "0.parquet", compression="zstd", row_group_size=3)
    assert pq.read_schema(tmp_path / "0.parquet").field("frames").type == kind
    reader = ShardReader(tmp_path)
    assert (reader.ids, reader.captions) == (names, ["up"] * 7)
    assert np.array_equal(reader.frames([6, 0, 3]), frames[[6, 0, 3]])


def test_frames_that_a_program_without_bytes_called_text_are_read(tmp_path):
    """ClickHouse has no type for bytes, and says of all of them in Parquet that they are text."""
    frames = write_groups(tmp_path, [4])
    values = [clip.tobytes() for clip in frames]
    offsets = np.arange(5, dtype=np.int32) * WIDTH
    column = pa.StringArray.from_buffers(4, pa.py_buffer(offsets), pa.py_buffer(b"".join(values)))
    table = pa.table({"id": list("abcd"), "caption": [""] * 4, "frames": column})
    pq.write_table(table, tmp_path / "0.parquet", use_dictionary=False)
    assert np.array_equal(ShardReader(tmp_path).frames([2, 1]), frames[[2, 1]])


def test_row_groups_of_plain_pages_are_mapped_whoever_wrote_them(tmp_path):
    options = {"compression": "none", "use_dictionary": False, "write_batch_size": 4}
    frames = frames_of(10)
    shard = write_shard(tmp_path / "0.parquet", [(f"{k}", "", clip) for k, clip in enumerate(frames)])
    names, values = [f"{k}" for k in range(10)], [clip.tobytes() for clip in frames]
    schema = pa.schema([("caption", pa.string()), pa.field("frames", pa.binary(WIDTH), False), ("id", pa.string())])
    table = pa.table([names, values, names], schema)
    pq.write_table(table, tmp_path / "0.parquet", row_group_size=4, **options)
    write_index(tmp_path, SHAPE, [shard])
    reader = ShardReader(tmp_path)
    assert reader.mapped
    assert np.array_equal(reader.frames([9, 3, 4, 0]), frames[[9, 3, 4, 0]])


def test_bytes_that_lie_in_another_order_are_not_mapped(tmp_path):
    """Split by place in the value, pages are as long as plain ones; and the first of these clips looks the same."""
    frames = np.repeat(np.arange(3, dtype=np.uint8), WIDTH).reshape(3, *SHAPE, 3)
    frames[1:, 0, 0, 0, 0] = 0
    shard = write_shard(tmp_path / "0.parquet", [(f"{k}", "", clip) for k, clip in enumerate(frames)])
    schema = pa.schema([("id", pa.string()), ("caption", pa.string()), pa.field("frames", pa.binary(WIDTH), False)])
    table = pa.table([list("abc"), list("abc"), [clip.tobytes() for clip in frames]], schema)
    options = {"compression": "none", "use_dictionary": False, "column_encoding": {"frames": "BYTE_STREAM_SPLIT"}}
    pq.write_table(table, tmp_path / "0.parquet", **options)
    write_index(tmp_path, SHAPE, [shard])
    reader = ShardReader(tmp_path)
    assert not reader.mapped
    assert np.array_equal(reader.frames(range(3)), frames)


def test_a_value_of_another_length_is_refused(tmp_path):
    write_groups(tmp_path, [2])
    table = pa.table({"id": ["a", "b"], "caption": ["", ""], "frames": [bytes(WIDTH), bytes(WIDTH - 1)]})
    pq.write_table(table, tmp_path / "0.parquet", compression="zstd")
    with pytest.raises(UserError, match=r"0\.parquet: not a shard of frames"):
        ShardReader(tmp_path).frames([0])


def test_a_compressed_npz_is_read_right(tmp_path):
    frames = frames_of(5)
    shard = write_shard(tmp_path / "0.npz", [(f"{k}", "", clip) for k, clip in enumerate(frames)])
    np.savez_compressed(tmp_path / "0.npz", id=np.array(list("01234")), caption=np.array([""] * 5), frames=frames)
    write_index(tmp_path, SHAPE, [shard])
    assert np.array_equal(ShardReader(tmp_path).frames([4, 0, 2]), frames[[4, 0, 2]])


@pytest.mark.parametrize("change", ["dtype", "shape"])
def test_an_npz_of_other_frames_is_refused(tmp_path, change):
    frames = frames_of(5)
    shard = write_shard(tmp_path / "0.npz", [(f"{k}", "", clip) for k, clip in enumerate(frames)])
    other = frames.astype(np.float32) if change == "dtype" else frames[:, 1:]
    np.savez(tmp_path / "0.npz", id=np.array(list("01234")), caption=np.array([""] * 5), frames=other)
    write_index(tmp_path, SHAPE, [shard])
    with pytest.raises(UserError, match=r"0\.npz: not a shard of frames"):
        ShardReader(tmp_path)


def test_no_more_row_groups_stay_in_memory_than_may(tmp_path, monkeypatch):
    hold(monkeypatch, 8)
    frames = write_groups(tmp_path, [16, 12])
    shards = ShardReader(tmp_path)
    order = np.random.default_rng(0).permutation(28)
    assert np.array_equal(shards.frames(order), frames[order])
    assert shards._load.cache_info().currsize == 2


def test_a_row_group_above_the_limit_is_held_alone(tmp_path, monkeypatch):
    hold(monkeypatch, 2)
    frames = write_groups(tmp_path, [9])
    shards = ShardReader(tmp_path)
    assert np.array_equal(shards.frames(range(9)), frames)
    assert shards._load.cache_info().currsize == 1


def test_batches_along_the_shuffled_order_load_every_row_group_in_once(tmp_path, monkeypatch):
    hold(monkeypatch, 12)
    frames = write_groups(tmp_path, [16, 10, 14])
    shards = ShardReader(tmp_path)
    loads = count_loads(shards, monkeypatch)
    order = shards.shuffled(range(40), seed=5)
    for start in range(0, 40, 6):
        assert np.array_equal(shards.frames(order[start : start + 6]), frames[order[start : start + 6]])
    assert loads == dict.fromkeys(range(11), 1)


@pytest.mark.parametrize("mapped", [True, False])
def test_a_shuffled_order_holds_each_row_once_and_depends_on_the_seed_alone(tmp_path, monkeypatch, mapped):
    hold(monkeypatch, 8)
    if mapped:
        rows = [(f"{k:04}", "", clip) for k, clip in enumerate(frames_of(40))]
        write_index(tmp_path, SHAPE, [write_shard(tmp_path / "0.parquet", rows)])
    else:
        write_groups(tmp_path, [16, 24])
    chosen = np.arange(1, 40, 2)
    orders = [ShardReader(tmp_path).shuffled(chosen, seed).tolist() for seed in ((7, 0), (7, 0), (7, 1))]
    assert sorted(orders[0]) == chosen.tolist()
    assert orders[0] == orders[1] != orders[2]


def test_every_neighbourhood_is_alike_where_all_shards_are_mapped(tmp_path):
    """Of 400 shuffles, about 1 in 40 puts row 1 right behind row 0, as chance would."""
    rows = [(f"{k:04}", "", clip) for k, clip in enumerate(frames_of(40))]
    write_index(tmp_path, SHAPE, [write_shard(tmp_path / f"{k}.parquet", rows[k : k + 4]) for k in range(0, 40, 4)])
    shards = ShardReader(tmp_path)
    orders = [shards.shuffled(range(40), seed).tolist() for seed in range(400)]
    assert 1 <= sum((0, 1) in pairwise(order) for order in orders) <= 25  # 10 expected


def test_windows_of_one_video_share_their_id(tmp_path):
    frames = frames_of(4)
    rows = [("7", "up", frames[0]), ("7", "up", frames[1]), ("8", "down", frames[2]), ("7", "up", frames[3])]
    write_index(tmp_path, SHAPE, [write_shard(tmp_path / "0.parquet", rows)])
    shards = ShardReader(tmp_path)
    assert shards.ids == ["7", "7", "8", "7"]
    assert np.array_equal(shards.frames(range(4)), frames)


@pytest.mark.parametrize("rows", [[-1], [3], [0, 99]])
def test_a_row_that_is_not_there_is_refused(tmp_path, rows):
    write_groups(tmp_path, [3])
    with pytest.raises(IndexError, match="of 3 clips"):
        ShardReader(tmp_path).frames(rows)


def test_no_rows_are_an_empty_batch(tmp_path):
    write_groups(tmp_path, [3])
    assert ShardReader(tmp_path).frames([]).shape == (0, *SHAPE, 3)


def test_a_shard_that_goes_away_while_it_is_read_is_named(tmp_path):
    write_groups(tmp_path, [3])
    shards = ShardReader(tmp_path)
    (tmp_path / "0.parquet").unlink()
    for read in (lambda: shards.frames([0]), shards.verify):
        with pytest.raises(UserError, match=r"0\.parquet: the index names this shard, but it is gone"):
            read()


@pytest.mark.parametrize("kind", ["parquet", "npz"])
def test_a_folder_may_hold_more_shards_than_files_may_be_open(tmp_path, monkeypatch, kind):
    """220,847 clips in shards of 128 are 1,726 files; a mapping keeps its file open."""
    monkeypatch.setattr(folder, "MAPPED_AT_ONCE", 20)
    frames = frames_of(90)
    shards = [write_shard(tmp_path / f"{k}.{kind}", [(f"{k}", "", clip)]) for k, clip in enumerate(frames)]
    write_index(tmp_path, SHAPE, shards)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (psutil.Process().num_fds() + 60, limits[1]))
    try:
        assert np.array_equal(ShardReader(tmp_path).frames(range(90)), frames)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
