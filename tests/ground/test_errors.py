"""What an error says, in one line."""

import errno
import os
import subprocess
import sys

import pytest
from locations import ROOT

from pipeline.errors import UserError, catch_fault, describe_fault, first_line, naming
from pipeline.files import write_json


@pytest.mark.parametrize(
    ("message", "told"),
    [("out of memory", "out of memory"), ("\n  no such file\nTraceback ...", "no such file"), ("", "ValueError")],
)
def test_the_first_line_of_an_error_is_what_it_says_or_what_it_is(message, told):
    assert first_line(ValueError(message)) == told


def test_a_message_has_no_signs_that_a_terminal_obeys():
    """Names of columns and values are cited, and files come from strangers."""

    def refuse():
        raise UserError(
            "no column 'path'; its columns: \x1b]0;another title\x07, \x9b2J, \u202eabc, título 題\nin two lines"
        )

    told = "no column 'path'; its columns: \\x1b]0;another title\\x07, \\x9b2J, \\u202eabc, título 題\nin two lines"
    assert catch_fault(refuse) == (told, 1)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda: {}["clip"], "'clip' is absent"),
        (lambda: [].clip, "its values are of another shape"),
        (lambda: int["clip"], "its values are of another shape"),
        (lambda: [][3], "its values are of another shape"),
        (lambda: next(iter(())), "its values are of another shape"),
        (lambda: int("three"), "invalid literal for int() with base 10: 'three'"),
        (lambda: (_ for _ in ()).throw(ValueError("two\n lines")), "two lines"),
        (lambda: (_ for _ in ()).throw(KeyError("frames is not in the archive")), "frames is not in the archive"),
        (lambda: (_ for _ in ()).throw(OSError()), "OSError"),
    ],
)
def test_a_fault_of_a_file_is_told_without_the_words_of_python(act, told):
    with pytest.raises(Exception) as caught:
        act()
    assert describe_fault(caught.value) == told


def test_of_a_copy_that_found_no_room_the_target_is_named():
    def copy():
        raise OSError(errno.ENOSPC, "No space left on device", "/here/whole", None, "/there/full")

    assert catch_fault(copy) == (
        "No space left on device (/there/full); make room or correct the permissions, then run the same command again",
        1,
    )


@pytest.mark.parametrize("place", ["picture.gif/mug.json", "picture.gif/more/mug.json", "folder"])
def test_a_file_or_a_folder_in_the_way_is_named(tmp_path, place):
    (tmp_path / "picture.gif").touch()
    (tmp_path / "folder").mkdir()
    told, code = catch_fault(lambda: write_json(tmp_path / place, {}))
    assert code == 1
    assert told.startswith(f"{tmp_path / place.partition('/')[0]}")
    assert told.endswith(": a file where a folder is needed, or a folder where a file is; name another place")


def test_a_name_that_no_file_can_have_is_told(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    for path, fault in (
        (tmp_path / ("a" * 256) / "mug.json", "File name too long"),
        (tmp_path / f"{'a' * 300}.json", "File name too long"),
        (tmp_path / "circle" / "mug.json", "Too many levels of symbolic links"),
    ):
        told, code = catch_fault(path.read_bytes)
        assert (told, code) == (f"{path}: {fault}; name another place", 1)


def test_text_that_is_not_utf_8_is_told_with_what_is_around_it(tmp_path):
    """As Python hands on the bytes of a command line."""
    text = "a" * 100 + "caf\udce9" + "b" * 100
    told, code = catch_fault(lambda: (tmp_path / "card.md").write_text(text, encoding="utf-8"))
    assert (told, code) == (f"'{'a' * 27}caf\\udce9{'b' * 30}' is not UTF-8; write or name it in UTF-8", 1)
    with pytest.raises(UnicodeEncodeError):
        catch_fault(lambda: "é".encode("ascii"))


def test_what_writes_to_a_full_disk_is_told_with_the_name_of_its_file(tmp_path):
    """A device that is always full takes the file's place."""
    (tmp_path / "card.md").symlink_to("/dev/full")

    def write():
        with naming(tmp_path / "card.md"):
            (tmp_path / "card.md").write_text("whole")

    assert catch_fault(write) == (
        f"No space left on device ({tmp_path / 'card.md'}); make room or correct the permissions, then run the same "
        "command again",
        1,
    )


def test_where_no_temporary_file_can_be_written_an_import_that_needs_one_ends_with_one_message():
    """A limit on the size of files stands for a full disk; torch looks for such a folder as it is imported."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
        "import stages, tempfile; tempfile.gettempdir()"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: No usable temporary directory found in [")
    assert answer.stderr.endswith("; make room or correct the permissions, then run the same command again\n")


def test_ctrl_c_during_the_imports_ends_as_later_without_a_traceback():
    code = "import stages, signal; signal.raise_signal(signal.SIGINT)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 75
    assert answer.stderr == "interrupted: nothing half-written was kept; run the same command again\n"


def test_a_fault_at_an_import_is_told_as_python_tells_it():
    answer = subprocess.run([sys.executable, "-c", "import stages; 1 / 0"], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr.startswith("Traceback")


@pytest.mark.parametrize(
    ("command", "collected"),
    [(["-m", "stages.tokenize_captions", "--help"], "True True"), (["-c", "import stages"], "True False")],
)
def test_only_the_imports_of_a_stage_run_without_garbage_collection(tmp_path, command, collected):
    """Where a program imports it that may never call `run`, memory is freed as ever. What was imported is frozen."""
    told = "import atexit, gc\natexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 0))\n"
    (tmp_path / "sitecustomize.py").write_text(told)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    answer = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (answer.returncode, answer.stdout.splitlines()[-1]) == (0, collected)
