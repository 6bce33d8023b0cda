"""Clips come as they lie in their shards, whole on the device or read ahead of the steps, in bounded memory."""

import gc
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from training_sets import CPU, TEN_STEPS, outputs, write_data, write_project

from pipeline.data import loading
from pipeline.data.loading import AHEAD, Resident, Streamed, open_source
from pipeline.errors import UserError
from pipeline.shards import ShardReader, write_index, write_shard
from stages.train_model import main

ROWS = np.array([3, 0, 17, 5, 9, 11, 2, 20], np.int64)  # of the shards, as a split would choose them


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return ShardReader(write_data(tmp_path_factory.mktemp("data")) / "clips")


def batches(count, clips=3):
    rng = np.random.default_rng(count)
    return [rng.integers(0, len(ROWS), clips) for _ in range(count)]


class Counting:
    """A reader that notes which rows it is asked for."""

    def __init__(self, shards, wait=0.0):
        self.shape, self.asked, self._shards, self._wait = shards.shape, [], shards, wait

    def frames(self, rows):
        time.sleep(self._wait)
        self.asked.append(rows.tolist())
        return self._shards.frames(rows)


def test_both_ways_give_the_frames_of_the_rows(shards):
    """Also for rows that were not foreseen, and after the last that were."""
    whole, streamed = Resident(shards, ROWS, CPU), Streamed(shards, ROWS, CPU)
    planned = batches(9)
    unforeseen = np.array([7, 7], np.int64)
    with streamed.read_ahead(planned):
        for rows in [planned[0], unforeseen, *planned[1:], unforeseen]:
            expected = shards.frames(ROWS[rows])
            assert np.array_equal(whole.take(rows).numpy(), expected)
            assert np.array_equal(streamed.take(rows).numpy(), expected)


def test_clips_in_memory_are_not_mapped_besides(tmp_path):
    shards = ShardReader(write_data(tmp_path) / "clips")
    Streamed(shards, ROWS, CPU).take(np.arange(2))
    assert str(tmp_path) in read_mappings()
    Resident(shards, ROWS, CPU)
    assert str(tmp_path) not in read_mappings()


def read_mappings():
    return Path("/proc/self/maps").read_text(encoding="utf-8")


def test_what_is_coming_is_read_once_and_no_more_than_a_few_batches_ahead(shards):
    reader = Counting(shards)
    streamed = Streamed(reader, ROWS, CPU)
    planned = batches(20)
    with streamed.read_ahead(planned):
        for taken, rows in enumerate(planned, 1):
            streamed.take(rows)
            assert taken <= len(reader.asked) <= taken + AHEAD
    assert sorted(reader.asked) == sorted(ROWS[rows].tolist() for rows in planned)


def test_waiting_is_counted_where_reading_is_slow_and_hidden_where_steps_are(shards):
    planned = batches(6)
    slow = Streamed(Counting(shards, wait=0.1), ROWS, CPU)
    with slow.read_ahead([]):
        for rows in planned:
            slow.take(rows)
    assert slow.waited > 0.5
    hidden = Streamed(Counting(shards, wait=0.02), ROWS, CPU)
    with hidden.read_ahead(planned):
        for rows in planned:
            time.sleep(0.1)
            hidden.take(rows)
    assert hidden.waited < 0.2 * 6 * 0.1


def test_what_a_thread_fails_at_is_raised_where_the_batch_is_taken(tmp_path):
    shards = ShardReader(write_data(tmp_path) / "clips")
    (tmp_path / "clips" / "00000.parquet").unlink()
    streamed = Streamed(shards, ROWS, CPU)
    gone = pytest.raises(UserError, match=r"00000\.parquet: the index names this shard, but it is gone")
    with gone, streamed.read_ahead(batches(9)):
        streamed.take(batches(9)[0])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("clips")]


def test_no_thread_outlives_a_training_that_is_stopped(shards):
    reader = Counting(shards, wait=0.05)
    streamed = Streamed(reader, ROWS, CPU)
    with pytest.raises(KeyboardInterrupt), streamed.read_ahead(batches(99)):
        streamed.take(batches(99)[0])
        raise KeyboardInterrupt
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("clips")]
    assert len(reader.asked) <= 2 * AHEAD


@pytest.mark.slow
def test_streaming_takes_the_memory_of_a_few_batches(tmp_path):
    """123 MB of clips, 1.5 MB to a batch; what is mapped belongs to the system."""
    rng = np.random.default_rng(0)
    clips = [(f"{n:04}", "", rng.integers(0, 256, (8, 80, 80, 3), dtype=np.uint8)) for n in range(800)]
    write_index(tmp_path, (8, 80, 80), [write_shard(tmp_path / f"{n}.parquet", clips[n::4]) for n in range(4)])
    del clips
    streamed = Streamed(ShardReader(tmp_path), np.arange(800), CPU)
    planned = [rng.integers(0, 800, 10) for _ in range(300)]
    gc.collect()
    before, most = own_memory(), 0
    with streamed.read_ahead(planned):
        for rows in planned:
            streamed.take(rows)
            most = max(most, own_memory())
    assert most - before < 40e6


def own_memory():
    memory = psutil.Process().memory_info()
    return memory.rss - memory.shared


@pytest.mark.parametrize(
    ("free", "choice", "sharers", "kind"),
    [
        (4, "auto", 1, Resident),
        (4, "auto", 3, Streamed),
        (1.5, "auto", 1, Streamed),
        (1.5, "resident", 1, Resident),
        (99, "streamed", 1, Streamed),
    ],
)
def test_clips_are_resident_where_they_take_at_most_half_of_what_is_free(
    shards, monkeypatch, free, choice, sharers, kind
):
    """`free` in sets of these clips; processes on a CPU have the same memory."""
    needed = len(ROWS) * int(np.prod(shards.shape))
    monkeypatch.setattr(loading, "measure_free_memory", lambda _: int(free * needed))
    assert type(open_source(shards, ROWS, CPU, choice, sharers)) is kind


def test_nothing_is_read_before_it_is_known_that_clips_fit(shards, monkeypatch):
    reader = Counting(shards)
    monkeypatch.setattr(loading, "measure_free_memory", lambda _: 10)
    with pytest.raises(UserError, match=r"compute\.loading: resident, but the clips take 0\.0 GB and cpu has"):
        open_source(reader, ROWS, CPU, "resident", 1)
    assert isinstance(open_source(reader, ROWS, CPU, "auto", 1), Streamed)
    assert reader.asked == []


@pytest.mark.slow
def test_a_streamed_run_gives_the_bytes_of_a_resident_one_and_reads_each_batch_once(tmp_path, monkeypatch):
    monkeypatch.delenv("T2V_DEVICES", raising=False)
    asked = []
    read = Streamed._read
    monkeypatch.setattr(Streamed, "_read", lambda self, rows: asked.append(rows) or read(self, rows))
    for name in ("resident", "streamed"):
        folder = write_project(tmp_path / name, **TEN_STEPS)
        text = (folder / "params.yaml").read_text()
        (folder / "params.yaml").write_text(text.replace("loading: auto", f"loading: {name}"))
        monkeypatch.chdir(folder)
        main()
    assert outputs(tmp_path / "resident") == outputs(tmp_path / "streamed")
    assert len(asked) == 10
