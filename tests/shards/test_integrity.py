"""A shard that is gone, cut off or altered is told of before training starts; none is read twice to know it."""

import os
import shutil

import pytest
from training_sets import write_project

from pipeline import shards as digests
from pipeline.errors import UserError
from pipeline.shards import require_unaltered, write_index, write_shard
from pipeline.training.loop import Trainer
from stages.train_model import main
from tests.shards.test_shards import rows_of

NAMES = [f"clips-{number:05}.parquet" for number in range(3)]


@pytest.fixture
def folder(tmp_path):
    """Three shards of two clips, and a folder beside them for what is known of them."""
    shards = [write_shard(tmp_path / "clips" / name, rows_of(2, 2 * number)) for number, name in enumerate(NAMES)]
    write_index(tmp_path / "clips", (4, 6, 8), shards)
    return tmp_path / "clips"


@pytest.fixture
def read(monkeypatch):
    """The names of the shards that are read, in the order of their names."""
    names = []
    digest = digests.digest_file
    monkeypatch.setattr(digests, "digest_file", lambda path: names.append(path.name) or digest(path))
    return names


def check(folder):
    require_unaltered(folder, folder.parent / "known")


def flip(path):
    """Change one bit in the middle, where only a digest shows it."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_whole_shards_are_read_once(folder, read):
    check(folder)
    assert sorted(read) == NAMES
    check(folder)
    assert len(read) == 3


def test_only_what_has_changed_since_is_read_again(folder, read):
    check(folder)
    read.clear()
    os.utime(folder / NAMES[1])
    check(folder)
    assert read == [NAMES[1]]


def test_shards_that_were_copied_elsewhere_are_read_there(folder):
    """The index is the same, the files are not."""
    check(folder)
    other = shutil.copytree(folder, folder.parent / "other")
    flip(other / NAMES[2])
    with pytest.raises(UserError, match=r"other/clips-00002\.parquet: altered"):
        check(other)
    check(folder)


def gone(path):
    path.unlink()


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    ("damage", "told"), [(gone, "the index names this shard, but it is gone"), (cut_off, "altered"), (flip, "altered")]
)
def test_damage_is_named_with_the_way_out_also_of_a_shard_that_was_whole_before(folder, damage, told, known):
    if known:
        check(folder)
    damage(folder / NAMES[1])
    for _ in range(2):
        with pytest.raises(UserError, match=rf"clips-00001\.parquet: {told}.*; `dvc repro transcode`"):
            check(folder)


def test_what_cannot_be_read_of_the_stamps_is_read_from_the_shards(folder, read):
    check(folder)
    (stamps,) = (folder.parent / "known").glob("*/stamps.json")
    stamps.write_text("{")
    check(folder)
    assert len(read) == 6


@pytest.mark.parametrize("loading", ["resident", "streamed"])
def test_training_names_an_altered_shard_before_its_first_step(tmp_path, monkeypatch, loading):
    monkeypatch.delenv("T2V_DEVICES", raising=False)
    project = write_project(tmp_path)
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("loading: auto", f"loading: {loading}"))
    flip(project / "data/clips/00000.parquet")
    monkeypatch.chdir(project)
    monkeypatch.setattr(Trainer, "_take_step", lambda _: pytest.fail("a step was taken"))
    with pytest.raises(UserError, match=r"data/clips/00000\.parquet: altered"):
        main()
