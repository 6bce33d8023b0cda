"""A reader of shards goes to the worker processes of a torch DataLoader."""

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from training_sets import write_project

from pipeline.data.dataset import DataFolders, Dataset
from pipeline.shards import ShardReader
from tests.shards.test_layouts import write_groups
from tests.shards.test_shards import FORMATS, frames_of, write_folder


class Pairs(torch.utils.data.Dataset):
    """What a user would write around the joined dataset: frames and the category of each clip."""

    def __init__(self, dataset):
        self.dataset, self.rows = dataset, dataset.rows()

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, place):
        row = self.rows[place]
        return self.dataset.frames([row])[0], self.dataset.clips([row])[0].category


def load(dataset, **options):
    return DataLoader(dataset, batch_size=4, num_workers=2, multiprocessing_context="spawn", **options)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_reader_comes_back_from_pickle(tmp_path, kind):
    rows = write_folder(tmp_path, kind)
    reader = ShardReader(tmp_path)
    before = reader.frames([8, 0])  # what is mapped by now stays behind
    other = pickle.loads(pickle.dumps(reader))
    assert np.array_equal(other.frames([8, 0]), before)
    assert np.array_equal(other[5], rows[5][2])
    assert (other.ids, other.mapped, len(other)) == (reader.ids, True, 9)


def test_a_reader_of_other_layouts_comes_back_from_pickle(tmp_path):
    frames = write_groups(tmp_path, [9, 3])
    assert np.array_equal(pickle.loads(pickle.dumps(ShardReader(tmp_path))).frames([11, 2]), frames[[11, 2]])


def test_a_reader_is_iterated_over_to_its_end(tmp_path):
    rows = write_folder(tmp_path, "parquet")
    assert np.array_equal(np.stack(list(ShardReader(tmp_path))), frames_of(rows))


@pytest.mark.slow
def test_spawned_workers_read_shards_and_the_joined_dataset(tmp_path):
    rows = write_folder(tmp_path / "clips", "parquet")
    batches = list(load(ShardReader(tmp_path / "clips")))
    assert [len(batch) for batch in batches] == [4, 4, 1]
    assert np.array_equal(torch.cat(batches).numpy(), frames_of(rows))
    data = write_project(tmp_path) / "data"
    dataset = Dataset(DataFolders(data / "labels", data / "clips", data / "captions"))
    frames, categories = zip(*load(Pairs(dataset)), strict=True)
    assert np.array_equal(torch.cat(frames).numpy(), dataset.frames(dataset.rows()))
    assert [name for batch in categories for name in batch] == [clip.category for clip in dataset.clips()]
