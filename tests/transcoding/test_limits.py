"""A shard that could hold more than 2 GiB of frames is refused before a video is opened."""

import pytest
from clip_sets import choose_clip, transcode, write_clips
from settings import clip_shape, transcoding

from pipeline.errors import UserError
from pipeline.transcoding import require_fitting_shards

SHAPE = clip_shape(16, 128, 128)  # 786,432 bytes a clip: 2,730 of them are 2 GiB less 524,288 bytes


@pytest.mark.parametrize("kind", ["parquet", "npz"])
def test_the_longest_shard_that_fits_is_named_and_fits(kind):
    with pytest.raises(UserError, match=r"2731: 2,731 clips of 16x128x128x3 bytes are 2\.0 GiB .* to 2730 "):
        require_fitting_shards(10**6, SHAPE, transcoding(shard_clips=2731, shard_format=kind))
    require_fitting_shards(10**6, SHAPE, transcoding(shard_clips=2730, shard_format=kind))


def test_every_window_counts():
    with pytest.raises(UserError, match=r"512 clips .* in 8 windows each .* 3\.0 GiB .*shard_clips to 341 "):
        require_fitting_shards(10**6, SHAPE, transcoding(shard_clips=512, windows=8))
    require_fitting_shards(10**6, SHAPE, transcoding(shard_clips=341, windows=8))


def test_a_long_shard_of_few_clips_is_made():
    require_fitting_shards(2730, SHAPE, transcoding(shard_clips=10**6))
    with pytest.raises(UserError, match="2,731 clips"):
        require_fitting_shards(2731, SHAPE, transcoding(shard_clips=10**6))


def test_a_clip_that_is_too_large_by_itself_is_told_of():
    with pytest.raises(UserError, match="2 GiB is the most; even one is too large; see clip"):
        require_fitting_shards(1, clip_shape(1024, 1024, 1024), transcoding(shard_clips=1))


def test_nothing_is_read_or_written_before(tmp_path):
    """The video has gone, and nobody notices."""
    video = tmp_path / "videos" / "a.mkv"
    video.parent.mkdir()
    video.write_bytes(b"no video")
    clip = choose_clip(video)
    video.unlink()
    write_clips(tmp_path, [clip])
    with pytest.raises(UserError, match=r"transcode\.shard_clips 4: 1 clips of 1000x1000x1000x3 bytes are 2\.8 GiB"):
        transcode(tmp_path, tmp_path / "out", shape=clip_shape(1000, 1000, 1000))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels", "videos"]
