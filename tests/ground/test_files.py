"""Files that are written whole or not at all."""

import errno
import gc

import pytest

from pipeline.errors import UserError
from pipeline.files import atomic_write, read_json


def test_a_disk_that_fills_up_leaves_the_old_file_and_is_told_with_its_name(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")
    with pytest.raises(OSError) as told, atomic_write(path) as temporary:
        temporary.write_text("half of the ne")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert told.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_on_the_temporary_file_is_told_with_the_name_that_it_was_to_have(tmp_path):
    path = tmp_path / "new.txt"
    with pytest.raises(FileNotFoundError) as told, atomic_write(path) as temporary:
        temporary.read_text()
    assert told.value.filename == str(path)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_file_that_is_not_json_is_named_with_its_remedy(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    gc.collect()  # or what earlier tests left may be collected deep in the brackets, where nothing can be called
    with pytest.raises(UserError, match=r"a\.json: not JSON \(.*\); draw it again"):
        read_json(tmp_path / "a.json", "draw it again")


@pytest.mark.parametrize("name", ["none.json", "file/none.json"])
def test_an_absent_file_is_named_with_its_remedy(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"none\.json: no such file; draw it again"):
        read_json(tmp_path / name, "draw it again")


def test_json_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "a.json", "") == [1]
