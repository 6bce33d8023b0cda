"""Files that are written whole or not at all."""

import errno

import pytest

from pipeline.files import replacing


def test_a_disk_that_fills_up_leaves_the_old_file_and_is_told_with_its_name(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(OSError) as told, replacing(path) as temporary:
        temporary.write_text("half of the ne")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert told.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
