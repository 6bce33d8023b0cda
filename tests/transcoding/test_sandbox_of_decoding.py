"""What a worker can do that a video has taken over: nothing but decode, and its parent believes nothing of it."""

import ctypes
import json
import socket

import pytest
from clip_sets import OPTIONS, draw_beside_plans, transcode
from planted_workers import ATTEMPTS, OwnedWorker

from pipeline.compute.isolation import CALLS, FILES, find_missing
from pipeline.params import LimitParams
from pipeline.records import DROPS, Drop
from pipeline.shards import ShardReader
from pipeline.tables import read_table

DENIED = "refused: PermissionError(13, 'Permission denied')"
UNCALLED = "refused: PermissionError(1, 'Operation not permitted')"
KILLED = "the process made a system call that its sandbox forbids (SIGSYS), 2 times"
DISTRUSTED = "the worker sent an invalid answer: "
NEEDED = {  # attempt -> what keeps it from succeeding, and the reason and the beginning of what is told
    **dict.fromkeys(
        ("read-secret", "list-folder", "read-users", "follow-link", "write-outside", "write-video", "remove-video"),
        (FILES, "undecodable", DENIED),
    ),
    **dict.fromkeys(
        ("read-other-task", "read-parent-memory", "read-parent-environment", "fill-disk"),
        (FILES, "undecodable", DENIED),
    ),
    **dict.fromkeys(
        ("connect", "listen", "fork", "start-program", "signal-parent", "leave-session", "rise", "copy-parent-memory"),
        (CALLS, "decoder_died", KILLED),
    ),
    **dict.fromkeys(("share-memory", "make-code"), (CALLS, "undecodable", UNCALLED)),
    "take-memory": ("", "undecodable", "refused: OSError(12, 'Cannot allocate memory')"),
    "raise-limits": (FILES, "undecodable", "refused: ValueError('not allowed to raise maximum limit')"),
    "send-pickle": ("", "invalid_answer", f"{DISTRUSTED}a message of kind b'c' with "),
    "claim-huge-length": (
        "",
        "invalid_answer",
        f"{DISTRUSTED}a message of kind b'a' with 2 and 4,611,686,018,",
    ),
    "answer-for-another": ("", "invalid_answer", f"{DISTRUSTED}a part that was not requested: 'another'"),
    "answer-too-little": ("", "invalid_answer", f"{DISTRUSTED}10 bytes of frames instead of at least 6,144"),
    "invent-reason": ("", "invalid_answer", f"{DISTRUSTED}unknown outcome "),
    "skip-a-step": ("", "invalid_answer", f"{DISTRUSTED}unknown step 'a-video-that-there-is-not.mkv'"),
    "nest-deeply": ("", "invalid_answer", f"{DISTRUSTED}a message that is not JSON"),
    "keep-silent": ("", "decoder_hung", "not done after 4 seconds; see transcode.limits.seconds"),
}
MISSING = find_missing()
QUICK = ("a", "read-secret", "answer-for-another", "fork", "z")


@pytest.fixture
def attempt(tmp_path, monkeypatch):
    """Transcode real videos and attempts -> id -> Drop, and the ids that are kept; nothing planted is harmed."""
    home, videos = tmp_path / "home", tmp_path / "videos"
    for folder in (home / ".ssh", videos, tmp_path / "states" / "other"):
        folder.mkdir(parents=True)
    (home / ".ssh" / "id").write_text("secret")
    (videos / "link").symlink_to(home / ".ssh" / "id")
    (tmp_path / "states" / "other" / "shard").write_bytes(b"frames")
    monkeypatch.setattr("pipeline.transcoding.ShardMaker", OwnedWorker)
    buffer = ctypes.create_string_buffer(b"in here!")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        plan = json.dumps(
            {
                "secret": str(home / ".ssh" / "id"),
                "link": str(videos / "link"),
                "outside": str(home / "made"),
                "video": str(videos / "a.mkv"),
                "shards": str(tmp_path / "states" / "other" / "shard"),
                "address": str(ctypes.addressof(buffer)),
                "port": str(server.getsockname()[1]),
            }
        )

        def run(*names):
            draw_beside_plans(tmp_path, names, ATTEMPTS, plan)
            limits = LimitParams(**{**OPTIONS.limits.model_dump(), "seconds": 4.0})
            transcode(tmp_path, tmp_path / "out", 2, shard_clips=8, limits=limits)
            with pytest.raises(BlockingIOError):
                server.accept()
            return {drop.id: drop for drop in read_table(tmp_path / "out" / DROPS, Drop)}

        yield run
    assert [path.name for path in home.rglob("*")] == [".ssh", "id"]
    assert (videos / "a.mkv").stat().st_size > 1000


def check_told(drops, names):
    for name in names:
        _, reason, detail = NEEDED[name]
        assert (name, drops[name].reason, drops[name].detail[: len(detail)]) == (name, reason, detail)


def test_every_attempt_is_judged():
    assert ATTEMPTS.keys() == NEEDED.keys()


def test_a_worker_that_is_taken_over_harms_nothing_and_the_run_goes_on(attempt, tmp_path):
    if MISSING:
        pytest.skip(f"this kernel lacks {MISSING}")
    drops = attempt(*QUICK)
    check_told(drops, QUICK[1:-1])
    assert ShardReader(tmp_path / "out").ids == ["a", "z"]


@pytest.mark.slow
def test_every_attempt_fails_and_each_is_told(attempt, tmp_path):
    # Where a part is missing, attempts that need one would harm what is planted.
    tried = [name for name, (part, _, _) in NEEDED.items() if not (part and MISSING)]
    drops = attempt("a", "m", "z", *tried)
    assert ShardReader(tmp_path / "out").ids == ["a", "m", "z"]
    assert drops.keys() == set(tried)
    check_told(drops, tried)
