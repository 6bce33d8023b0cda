"""One function in a sandboxed process: its answer and its prints come back, and whatever goes wrong is one message."""

import re
import sys

import pytest
from planted_workers import claim_huge_length
from sandboxed_functions import answer

from pipeline.compute import reading
from pipeline.compute.child import BadAnswer, pack_texts, unpack_texts
from pipeline.compute.isolation import find_missing
from pipeline.compute.reading import Reading, read_sandboxed
from pipeline.errors import UserError, guard

sandboxed = pytest.mark.skipif(bool(find_missing()), reason=f"this kernel lacks {find_missing()}")

SPREAD = 1 << 31  # more than earlier tests leave free in one piece, which would be used without asking for more


def check(value, content):
    if value == "lie":
        raise BadAnswer("it says lie")
    if value == "swell":
        return bytearray(1 << 62)
    if value == "spread":
        return bytes(SPREAD)
    return value, content.decode()


def read(word, most=10, **options):
    return read_sandboxed(Reading("labels.csv", answer, (word,), (), most, **options), check, "auto")


def test_an_answer_comes_back_with_what_was_printed_and_no_terminal_obeys_it(capsys):
    assert read("yes") == ("yes", "yes")
    assert capsys.readouterr() == ("out \\x1b[31myes\n", " 2 of 2\nerr\n")


def test_an_error_of_the_user_comes_back_as_it_is_after_what_was_printed(capsys):
    with pytest.raises(UserError, match=r"\Arefuse\.csv: not wanted; take another\Z"):
        read("refuse")
    assert capsys.readouterr().out.endswith("mrefuse\n")


def test_what_is_printed_has_an_end(capsys):
    assert read("chatter") == ("chatter", "chatter")
    assert len(capsys.readouterr().out) < reading.MAX_LETTERS + 10


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "lie",
            r"\Alabels\.csv: cannot be read: the worker sent an invalid answer: it says lie; a file in it may have",
        ),
        ("endlessly", r"\Alabels\.csv: 9 bytes are read from it, and 8 are the most; read less at once"),
        ("gorge", r"\Alabels\.csv: too large for the memory of this machine"),
        ("swell", r"\Alabels\.csv: too large for the memory of this machine"),
    ],
)
def test_what_cannot_be_taken_is_told_in_one_message(word, message):
    with pytest.raises(UserError, match=message):
        read(word, most=8)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts the memory of a process")
def test_an_answer_that_comes_to_more_than_its_share_of_the_memory_is_told_in_one_message(monkeypatch):
    assert len(read("spread")) == SPREAD
    monkeypatch.setattr(reading, "_count_share", lambda: 1 << 25)
    with pytest.raises(UserError, match=r"\Alabels\.csv: too large for the memory of this machine\Z"):
        read("spread")


def test_a_fault_of_the_program_is_one_message_and_its_traceback_is_there_for_who_asks(capsys, monkeypatch):
    def tell():
        with pytest.raises(SystemExit):
            guard(lambda: read("fault"))
        return capsys.readouterr().err

    message = tell()
    assert message.startswith("error: labels.csv: this program fails on it: KeyError: 'a fault of the program' (")
    assert message.count("\n") == 1
    monkeypatch.setenv("T2V_DEBUG", "1")
    shown = tell()
    assert shown.endswith(message)
    assert re.search(r'sandboxed_functions\.py", line \d+, in answer', shown)


def test_what_the_system_refuses_is_told_in_one_message_that_names_what_is_read():
    with pytest.raises(
        UserError, match=r"\Alabels\.csv: cannot be read: \[Errno 28\] No space left on device: '/full'"
    ):
        read("full")


@sandboxed
def test_packages_are_found_in_any_folder_of_them_as_in_a_users_own(tmp_path, monkeypatch):
    """An import that waits for a file that needs it happens in the sandbox."""
    folder = tmp_path / "home" / "lib" / "site-packages"
    folder.mkdir(parents=True)
    (folder / "installed_for_one_user.py").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    assert read("import") == ("import", "import")


def test_an_answer_that_is_said_to_be_larger_than_the_memory_is_told_in_one_message():
    boast = Reading("labels.csv", claim_huge_length, (), (), 1 << 62)
    with pytest.raises(UserError, match=r"\Alabels\.csv: too large for the memory of this machine\Z"):
        read_sandboxed(boast, check, "auto")


@sandboxed
def test_a_file_that_may_not_be_opened_is_named():
    with pytest.raises(
        UserError, match=r"\A/etc/passwd: permission denied; what reads labels\.csv opens what is in it"
    ):
        read("peek")


@pytest.mark.slow
def test_a_process_that_dies_or_hangs_is_told_in_one_message(monkeypatch):
    with pytest.raises(UserError, match=r"\Alabels\.csv: cannot be read: the process died of SIGSEGV, 2 times; free"):
        read("crash")
    monkeypatch.setattr(reading, "SECONDS", 0.2)
    with pytest.raises(UserError, match=r"\Alabels\.csv: cannot be read: not done after 0\.2 seconds; take out"):
        read("nap")


def test_packages_that_are_not_there_are_passed_over():
    assert read("yes", packages=("there_is_no_such_package", "json")) == ("yes", "yes")


@pytest.mark.parametrize(
    "texts",
    [[], [""], ["", ""], ["a\0b", "\x01"], ["a\nb", " "], ["\ud800", "\udc80\xff", "\ud83d\ude00", "\U0001f600"]],
)
def test_texts_of_any_kind_are_packed_and_unpacked(texts):
    assert unpack_texts(bytearray(pack_texts(texts))) == texts
