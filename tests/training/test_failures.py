"""What is said, and within which time, where the launcher loses a rank; all of them are gone then."""

import os
import signal
import time

import psutil
import pytest
import torch
from ranks import quick_launcher
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from training_sets import CPU

from pipeline.distributed import Rank, explain_out_of_memory, launch, use_device
from pipeline.distributed.launch import run_on, world_size
from pipeline.errors import Interrupted, UserError

SECONDS = 60  # far below any time that collectives wait, far above what a busy machine needs


def told_by(task, *arguments, error=UserError):
    """What the launcher says at the end of `task` on two processes, which are gone then."""
    began = time.monotonic()
    with quick_launcher(), pytest.raises(error) as raised:
        run_on([CPU, CPU], task, *arguments)
    assert time.monotonic() - began < SECONDS
    assert ranks_left() == []
    return str(raised.value)


def ranks_left():
    """Processes that still run a rank, anywhere below this one."""
    return [process for process in psutil.Process().children(recursive=True) if "RANK" in environment_of(process)]


def environment_of(process):
    try:
        return process.environ()
    except psutil.Error:
        return {}


def leave(rank, how):
    """Rank 1 ends in its own way while rank 0 waits for it."""
    if rank.rank == 1:
        if how == "user error":
            raise UserError("its disk is full")
        if how == "interrupted":
            raise Interrupted("training is saved at step 3 of 10")
        if how == "fault":
            raise LookupError("a fault of the program")
        os.kill(os.getpid(), getattr(signal, how))
    rank.any_rank(False)


@pytest.mark.slow
def test_a_rank_that_was_killed_is_named_with_what_to_do():
    told = told_by(leave, "SIGKILL")
    assert told.startswith("rank 1 of 2 (cpu) was killed by SIGKILL, most likely because memory ran out")
    assert "lower train.batch_clips" in told


@pytest.mark.slow
def test_a_rank_that_crashed_is_named_with_its_signal():
    assert told_by(leave, "SIGSEGV").startswith("rank 1 of 2 (cpu) was killed by SIGSEGV; the last saved state is kept")


@pytest.mark.slow
def test_an_error_of_one_rank_before_all_have_met_ends_all_and_is_said_once(capfd):
    assert told_by(leave, "user error") == "its disk is full"
    assert "disk is full" not in "".join(capfd.readouterr())


@pytest.mark.slow
def test_an_interrupted_rank_interrupts_the_run():
    assert told_by(leave, "interrupted", error=Interrupted) == "training is saved at step 3 of 10"


@pytest.mark.slow
def test_a_fault_of_the_program_keeps_its_traceback():
    assert "LookupError: a fault of the program" in told_by(leave, "fault", error=ChildFailedError)


def test_a_rank_that_hangs_is_told_by_its_silence(tmp_path):
    (tmp_path / "0").write_text("lost")
    failure = ProcessFailure(0, 1, launch.LOST, "none")
    assert launch._explain_failure(tmp_path, [CPU, CPU], 0, failure).startswith(
        "rank 1 of 2 (cpu) did not answer the others"
    )
    (tmp_path / "1").write_text("lost")
    assert launch._explain_failure(tmp_path, [CPU, CPU], 0, failure) == "lost"


@pytest.mark.parametrize(
    "fault", ["CUDA error: CUDA-capable device(s) is/are busy or unavailable\nmore", "out of memory"]
)
def test_a_gpu_in_use_is_named_with_the_way_out(monkeypatch, fault):
    def busy(_):
        raise torch.AcceleratorError(fault)

    monkeypatch.setattr(torch.cuda, "set_device", busy)
    with pytest.raises(UserError, match=r"^GPU 3 cannot be used: .*(unavailable|memory)\. Another .*T2V_DEVICES$"):
        use_device(torch.device("cuda", 3))


@pytest.mark.parametrize(
    "fault",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee documentation"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
)
def test_memory_that_runs_out_is_told_with_the_batch(fault):
    told = r"^cpu: out of memory with 4 of train\.batch_clips 16 on this device .* Lower train\.batch_clips"
    with pytest.raises(UserError, match=told), explain_out_of_memory(Rank(1, 4, CPU), 16):
        raise fault


def test_memory_that_really_runs_out_on_a_cpu_is_told():
    with pytest.raises(UserError, match="out of memory"), explain_out_of_memory(Rank(0, 1, CPU), 8):
        torch.empty(1 << 60, dtype=torch.uint8)


def test_other_faults_are_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="shapes"), explain_out_of_memory(Rank(0, 1, CPU), 8):
        raise RuntimeError("shapes do not match")


@pytest.fixture
def torchrun(monkeypatch):
    """The environment of rank 5 of 8 on the second of two nodes."""
    numbers = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "MASTER_PORT": "29500"}
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "MASTER_ADDR": "node-1", **numbers}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("torchrun")
def test_under_torchrun_the_world_is_that_of_all_nodes():
    assert world_size([CPU]) == 8


@pytest.mark.usefixtures("torchrun")
@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("WORLD_SIZE", None, "WORLD_SIZE is not set"),
        ("LOCAL_RANK", "one", "LOCAL_RANK is 'one'"),
        ("MASTER_ADDR", None, "MASTER_ADDR is not set"),
        ("MASTER_PORT", "tcp://10.0.0.1", "MASTER_PORT is 'tcp://10.0.0.1'"),
        ("RANK", "8", "RANK is 8, WORLD_SIZE is 8, LOCAL_RANK is 1, LOCAL_WORLD_SIZE is 4"),
    ],
)
def test_what_is_left_of_another_run_of_torchrun_is_named(monkeypatch, name, value, told):
    monkeypatch.delenv(name)
    if value is not None:
        monkeypatch.setenv(name, value)
    message = f"TORCHELASTIC_RUN_ID is set, as torchrun sets it, but {told}: it was left over from another run"
    for call in (lambda: world_size([CPU]), lambda: run_on([CPU], leave, "not called")):
        with pytest.raises(UserError, match=message):
            call()


@pytest.mark.usefixtures("torchrun")
def test_a_rank_of_another_launcher_would_train_alone_and_is_refused(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    with pytest.raises(UserError, match="RANK is 5 and WORLD_SIZE is 8, but torchrun did not start this process"):
        world_size([CPU])
    monkeypatch.delenv("RANK")
    assert world_size([CPU, CPU]) == 2


@pytest.mark.usefixtures("torchrun")
def test_more_processes_than_gpus_on_a_node_are_refused():
    with pytest.raises(UserError, match="4 processes on this node, but devices names 2 GPUs; give --nproc-per-node=2"):
        run_on([torch.device("cuda", 0), torch.device("cuda", 2)], leave, "not called")
