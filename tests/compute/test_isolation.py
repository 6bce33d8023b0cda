"""The parts of a sandbox by themselves: what is filtered, what is bounded, and what is told where a part is missing."""

import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from clip_sets import by
from sandboxed_functions import Act, Words

from pipeline.compute import linux, map_sandboxed
from pipeline.compute.child import ANSWER, READY, AnswerTimeout, BadAnswer, Receiver, Sender, check_text
from pipeline.compute.isolation import CALLS, FILES, PARTS, Permissions, find_missing, reduce_environment
from pipeline.compute.sandbox import check_disk_use
from pipeline.errors import UserError

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
RENAMED = {"newfstatat": "fstatat"}  # what the generic header calls it


@pytest.mark.parametrize("machine", HEADERS)
def test_calls_have_the_numbers_of_the_kernels_own_headers(machine):
    if not HEADERS[machine].exists():
        pytest.skip("needs the kernel's headers (linux-libc-dev)")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text())
    numbers = {name: int(number) for name, number in found}
    for table in linux.CALL_TABLES:
        for name, number in table[machine].items():
            known = numbers.get(name, numbers.get(RENAMED.get(name, "")))
            assert known in (number, None), name
    assert {name for name in linux.CALL_TABLES[0][machine] if name not in numbers} <= {*RENAMED, "futex_waitv"}


@pytest.mark.parametrize("machine", HEADERS)
@pytest.mark.parametrize("programs", [False, True])
@pytest.mark.parametrize("machine_code", [False, True])
def test_every_path_through_the_filter_ends_in_a_verdict(machine, programs, machine_code):
    steps = linux.build_filter(machine, 1234, programs=programs, signals=True, machine_code=machine_code)
    assert len(steps) < 4096  # the kernel's limit
    for place, step in enumerate(steps):
        assert step.code == 0x06 or place + 1 + max(step.if_so, step.if_not) < len(steps)
    assert (decide(steps, machine, "read"), decide(steps, machine, "socket")) == ("allow", "kill")
    assert decide(steps, machine, "execve") == ("allow" if programs else "kill")
    assert decide(steps, machine, "kill", 1) == ("allow" if programs else "kill")
    assert decide(steps, machine, "prlimit64", 1234) == "allow"
    assert decide(steps, machine, "prlimit64", 1) == "kill"
    assert decide(steps, machine, "clone", 0x10000) == "allow"
    assert decide(steps, machine, "clone", 17) == "kill"
    assert decide(steps, machine, "openat", 3, 0, 0x80000) == "allow"
    assert decide(steps, machine, "openat", 3, 0, 0x80241) == "allow"
    assert decide(steps, machine, "openat", 3, 0, 0x80200) == "fail 1"  # to be read, and cut to nothing
    assert decide(steps, machine, "clone3") == "fail 38"
    assert decide(steps, machine, "ioctl", 0, 0x5412) == "fail 1"  # TIOCSTI: to type into the terminal
    assert decide(steps, machine, "mmap", 0, 4096, 3, 0x22) == "allow"
    assert decide(steps, machine, "mmap", 0, 4096, 5, 0x2) == "allow"  # a library
    assert decide(steps, machine, "mprotect", 0, 4096, 3) == "allow"
    for call in (("mmap", 0, 4096, 7, 0x22), ("mprotect", 0, 4096, 5)):  # code that is in no file
        assert decide(steps, machine, *call) == ("allow" if machine_code else "fail 1")
    assert decide(steps, machine, "mmap", 0, 4096, 3, 0x21) == "fail 1"
    assert run(steps, linux.MACHINES[machine], 9999, []) == "fail 38"
    assert run(steps, 0x40000003, 3, []) == "kill"  # the calls of another machine


def decide(steps, machine, name, *arguments):
    number = next(table[machine][name] for table in linux.CALL_TABLES if name in table[machine])
    return run(steps, linux.MACHINES[machine], number, arguments)


def run(steps, machine, number, arguments):
    """What the kernel makes of a call: an interpreter of the few instructions that there are."""
    words = {0: number, 4: machine} | {16 + 8 * place: value for place, value in enumerate(arguments)}
    place = value = 0
    while True:
        step = steps[place]
        place += 1
        if step.code == 0x20:
            value = words.get(step.value, 0)
        elif step.code == 0x54:
            value &= step.value
        elif step.code == 0x06:
            kind = {0x7FFF0000: "allow", 0x80000000: "kill", 0x00050000: "fail"}[step.value & 0xFFFF0000]
            return f"fail {step.value & 0xFFFF}" if kind == "fail" else kind
        else:
            holds = {0x15: value == step.value, 0x35: value >= step.value, 0x45: bool(value & step.value)}[step.code]
            place += step.if_so if holds else step.if_not


def test_a_machine_without_a_part_is_told_of_it_once_or_refused(monkeypatch, capsys):
    monkeypatch.setattr(linux, "read_landlock_version", lambda: 0)
    missing = find_missing()
    assert FILES in missing
    assert set(missing) <= set(PARTS)
    required = by(1).model_copy(update={"sandbox": "require"})
    with pytest.raises(UserError, match=r"it cannot restrict access to other files .*; see compute\.sandbox"):
        list(map_sandboxed(Act(), [Words((), Path())], 1, required, seconds=1, label="act"))
    for _ in range(2):
        assert list(map_sandboxed(Act(), [Words((), Path())], 1, by(1), seconds=1, label="act")) == [[]]
    assert capsys.readouterr().err.count("warning: the sandbox is incomplete on this machine: it cannot restrict") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has these parts")
def test_this_machine_is_asked_and_not_guessed():
    version = linux.read_landlock_version()
    assert (FILES in find_missing()) == (version == 0)
    assert (CALLS in find_missing()) == (not linux.has_seccomp())


def test_no_secret_of_the_environment_is_handed_down():
    told = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "GITHUB_TOKEN": "x", "LC_ALL": "C", "HF_TOKEN": "x"}
    assert reduce_environment(told.items()) == {"PATH": "/bin", "LC_ALL": "C"}
    limits = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}  # with which torch computes other bits
    assert reduce_environment(limits.items()) == limits
    assert reduce_environment([("LD_LIBRARY_PATH", "/a::/b:")]) == {"LD_LIBRARY_PATH": "/a:/b"}


def test_needs_that_are_covered_start_no_new_child():
    small, large = (
        Permissions(frozenset("a"), memory_bytes=1),
        Permissions(frozenset("ab"), frozenset("p"), 2, "folder", machine_code=True),
    )
    assert large.cover(small)
    assert not small.cover(large)
    assert small.join(large) == large


def test_a_folder_that_would_fill_the_disk_is_a_lie(tmp_path, monkeypatch):
    (tmp_path / "copy.mp4").write_bytes(bytes(100_000))
    check_disk_use(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 50_000))
    with pytest.raises(BadAnswer, match="bytes of files that it wrote, more than the disk has left"):
        check_disk_use(tmp_path)


def test_a_file_that_is_removed_while_the_folder_is_measured_is_no_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "rglob", lambda folder, _: iter([folder / "removed.mp4", folder]))
    check_disk_use(tmp_path)


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    return Receiver(reader), Sender(writer), writer


def test_a_message_comes_as_it_was_sent_and_a_cut_one_is_late(pipe):
    receiver, sender, writer = pipe
    sender.send(ANSWER, {"frames": 3}, [memoryview(b"abc"), memoryview(b"de")])
    message = receiver.receive(5, 5)
    assert (message.kind, message.value, bytes(message.content)) == (ANSWER, {"frames": 3}, b"abcde")
    sender.send(ANSWER, [], [memoryview(b"abcdef")])
    with pytest.raises(BadAnswer, match="with 2 and 6 bytes"):
        receiver.receive(5, 5)
    os.write(writer, READY)
    with pytest.raises(AnswerTimeout):
        receiver.receive(0.1, 5)


def test_what_is_received_in_another_thread_ends_before_its_pipe_is_closed(pipe):
    receiver, _, writer = pipe
    with ThreadPoolExecutor(1) as thread:
        received = thread.submit(receiver.receive, None, 5)
        os.write(writer, READY)  # the first byte of a message: it waits for the rest
        receiver.close()
        with pytest.raises(EOFError):
            received.result()


def test_a_text_cannot_steer_a_terminal():
    assert check_text("a\x1b[31mb\u202ec\n" + "d" * 9000) == "a\\x1b[31mb\\u202ec\n" + "d" * (4000 - 10)
    with pytest.raises(BadAnswer):
        check_text(["a"])
