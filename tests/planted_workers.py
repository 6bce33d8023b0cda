"""A worker that has been taken over, as it were: what it tries is chosen by the name of a video.

Each attempt is harmless, and aimed at something that the test itself has planted.
"""

import ctypes
import fcntl
import json
import mmap
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.compute.child import ANSWER, Failure, Sender, Work
from pipeline.transcoding.shard_maker import ShardMaker, ShardTask


class OwnedWorker(ShardMaker):
    """Decodes a video unless its name is that of an attempt."""

    def work(self, task: ShardTask, item: str, failures: Mapping[str, Failure], scratch: str) -> Work:
        attempt = ATTEMPTS.get(Path(item).stem)
        if attempt is None:
            return (yield from super().work(task, item, failures, scratch))
        yield item
        plan = json.loads((task.videos / item).read_text())
        try:
            value, contents = attempt(plan, scratch)
        except (OSError, ValueError, MemoryError, subprocess.SubprocessError) as error:
            # A real intruder would keep still; the test has it told, as a reason that may be told.
            value, contents = f"refused: {error!r}", ()
        if isinstance(value, str):
            value = [{"part": "", "reason": "undecodable", "detail": value}]
        return value, contents


Answer = tuple[object, tuple[memoryview, ...]]


def succeed(what: object = "") -> Answer:
    return f"SUCCEEDED {what}", ()


def read_secret(plan: dict[str, str], _: str) -> Answer:
    return succeed(Path(plan["secret"]).read_text())


def list_folder(plan: dict[str, str], _: str) -> Answer:
    return succeed(os.listdir(Path(plan["secret"]).parent))  # noqa: PTH208


def read_users(*_: object) -> Answer:
    return succeed(len(Path("/etc/passwd").read_bytes()))


def follow_link(plan: dict[str, str], _: str) -> Answer:
    return succeed(Path(plan["link"]).read_text())


def write_outside(plan: dict[str, str], _: str) -> Answer:
    return succeed(Path(plan["outside"]).write_text("was here"))


def write_video(plan: dict[str, str], _: str) -> Answer:
    return succeed(Path(plan["video"]).write_bytes(b"other"))


def remove_video(plan: dict[str, str], _: str) -> Answer:
    Path(plan["video"]).unlink()
    return succeed()


def read_parent_memory(*_: object) -> Answer:
    with Path(f"/proc/{os.getppid()}/mem").open("rb") as file:
        return succeed(file.read(1))


def read_parent_environment(*_: object) -> Answer:
    return succeed(len(Path(f"/proc/{os.getppid()}/environ").read_bytes()))


def copy_parent_memory(plan: dict[str, str], _: str) -> Answer:
    """process_vm_readv, of an address that the parent has told."""
    here, there = ctypes.create_string_buffer(8), int(plan["address"])
    own = (ctypes.c_size_t * 2)(ctypes.addressof(here), 8)
    other = (ctypes.c_size_t * 2)(there, 8)
    count = ctypes.CDLL(None).process_vm_readv(os.getppid(), own, 1, other, 1, 0)
    return succeed(here.raw) if count == 8 else (f"refused: {count}", ())


def connect(plan: dict[str, str], _: str) -> Answer:
    with socket.create_connection(("127.0.0.1", int(plan["port"])), 5):
        return succeed()


def listen(*_: object) -> Answer:
    with socket.create_server(("127.0.0.1", 0)):
        return succeed()


def fork(*_: object) -> Answer:
    if child := os.fork():
        os.waitpid(child, 0)
        return succeed()
    os._exit(0)


def start_program(*_: object) -> Answer:
    return succeed(subprocess.run([sys.executable, "-c", ""], check=True))


def signal_parent(*_: object) -> Answer:
    os.kill(os.getppid(), 0)
    return succeed()


def leave_session(*_: object) -> Answer:
    """So that killing its group would not reach it: Python leads a session already, and setpgid is what is left."""
    os.setpgid(0, os.getpgid(os.getppid()))
    return succeed()


def fill_disk(_: object, scratch: str) -> Answer:
    """One file larger than half of what is free, without one written block: what counts is whether it may be."""
    place = Path(scratch or "/tmp") / "large"
    with place.open("wb") as file:
        file.truncate(2**60)
    return succeed()


def take_memory(*_: object) -> Answer:
    """64 GiB that nothing is written to."""
    with mmap.mmap(-1, 2**36, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS):
        return succeed()


def share_memory(*_: object) -> Answer:
    """Memory that no limit counts."""
    with mmap.mmap(-1, 2**30, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS):
        return succeed()


def make_code(*_: object) -> Answer:
    """Memory to write machine code to."""
    with mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC):
        return succeed()


def raise_limits(*_: object) -> Answer:
    resource.setrlimit(resource.RLIMIT_NOFILE, (2**16, 2**16))
    return succeed()


def rise(*_: object) -> Answer:
    """Another user's rights."""
    os.setuid(0)
    return succeed()


def read_other_task(plan: dict[str, str], _: str) -> Answer:
    return succeed(Path(plan["shards"]).read_bytes())


def _find_answers() -> int:
    """The number of the pipe to the parent, which an intruder would find by trying."""
    return next(number for number in range(3, 4096) if _is_writable_pipe(number))


def _is_writable_pipe(number: int) -> bool:
    try:
        return bool(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_WRONLY)
    except OSError:
        return False


def send_pickle(plan: dict[str, str], _: str) -> Answer:
    """What an unpickling parent would turn into a file."""
    code = f"cos\nmknod\n(S'{plan['outside']}'\ntR."
    os.write(_find_answers(), code.encode())
    time.sleep(30)
    return succeed()


def claim_huge_length(*_: object) -> Answer:
    os.write(_find_answers(), struct.pack("<cIQ", ANSWER, 2, 2**62) + b"[]")
    time.sleep(30)
    return succeed()


def answer_for_another(*_: object) -> Answer:
    return [{"part": "another", "reason": "undecodable", "detail": ""}], ()


def answer_too_little(*_: object) -> Answer:
    return [{"part": "", "frames": 30, "windows": 1}], (memoryview(bytes(10)),)


def invent_reason(*_: object) -> Answer:
    return [{"part": "", "reason": "all_is_well", "detail": ""}], ()


def skip_a_step(*_: object) -> Answer:
    Sender(_find_answers()).send(b"s", "a-video-that-there-is-not.mkv")
    time.sleep(30)
    return succeed()


def nest_deeply(*_: object) -> Answer:
    text = b"[" * 1_000_000
    os.write(_find_answers(), struct.pack("<cIQ", ANSWER, len(text), 0) + text)
    time.sleep(30)
    return succeed()


def keep_silent(*_: object) -> Answer:
    threading.Event().wait()
    return succeed()


ATTEMPTS: dict[str, Callable[[dict[str, str], str], Answer]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        read_secret,
        list_folder,
        read_users,
        follow_link,
        write_outside,
        write_video,
        remove_video,
        read_other_task,
        read_parent_memory,
        read_parent_environment,
        copy_parent_memory,
        connect,
        listen,
        fork,
        start_program,
        signal_parent,
        leave_session,
        fill_disk,
        take_memory,
        share_memory,
        make_code,
        raise_limits,
        rise,
        send_pickle,
        claim_huge_length,
        answer_for_another,
        answer_too_little,
        invent_reason,
        skip_a_step,
        nest_deeply,
        keep_silent,
    )
}
