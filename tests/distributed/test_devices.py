"""Words for devices, shares of a batch, and who counts as DVC."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from training_sets import CPU, tiny_params

from pipeline.distributed import Rank, parse_devices, set_up
from pipeline.distributed.launch import StopRequests, is_dvc
from pipeline.errors import UserError
from pipeline.params.base import DEVICES_VARIABLE


@pytest.fixture
def gpus(monkeypatch):
    """Set how many GPUs the machine shows."""
    monkeypatch.delenv(DEVICES_VARIABLE, raising=False)

    def show(count):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    show(0)
    return show


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("auto", 0, ["cpu"]),
        ("auto", 2, ["cuda:0", "cuda:1"]),
        ("cpu", 2, ["cpu"]),
        ("cpu:3", 0, ["cpu", "cpu", "cpu"]),
        (" 3-5 ", 6, ["cuda:3", "cuda:4", "cuda:5"]),
        ("0,2", 3, ["cuda:0", "cuda:2"]),
        ("4,0-1", 5, ["cuda:4", "cuda:0", "cuda:1"]),
    ],
)
def test_words_for_devices(gpus, text, count, expected):
    gpus(count)
    assert [str(device) for device in parse_devices(text)] == expected


@pytest.mark.parametrize("text", ["", "gpu", "cpu:0", "cpu:", "cpu:-1", "1-", "-1", "0;1", "cuda:0", "²", "9" * 30])
def test_other_words_are_refused_with_the_ones_there_are(gpus, text):
    gpus(8)
    with pytest.raises(UserError, match=r"devices: .* is none of auto, cpu, cpu:2"):
        parse_devices(text)


@pytest.mark.parametrize(("text", "fault"), [("5-3", "empty range"), ("0,0", "twice"), ("0-2,1", "twice")])
def test_empty_ranges_and_a_gpu_named_twice_are_refused(gpus, text, fault):
    gpus(8)
    with pytest.raises(UserError, match=fault):
        parse_devices(text)


@pytest.mark.parametrize(("count", "there"), [(2, "0 to 1"), (1, "0 alone")])
def test_a_gpu_that_is_not_there_is_named_with_those_that_are(gpus, count, there):
    gpus(count)
    told = f"names GPU {count}, but torch sees {there}: GPUs are counted from 0; auto takes all of them, cpu none$"
    with pytest.raises(UserError, match=rf"^devices: '0-3' {told}"):
        parse_devices("0-3")


@pytest.mark.parametrize(
    ("built", "hidden", "why"),
    [
        (None, None, f"torch {re.escape(torch.__version__)} is built for the CPU alone"),
        ("12.8", None, "torch sees no GPU here; nvidia-smi tells whether its driver does"),
        ("12.8", "", r"torch sees no GPU here \(CUDA_VISIBLE_DEVICES=\); nvidia-smi tells whether its driver does"),
    ],
)
def test_where_there_is_no_gpu_the_reason_and_the_way_out_are_told(gpus, monkeypatch, built, hidden, why):
    gpus(0)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    way_out = "cpu and auto train on the processor, cpu:2 in two processes"
    with pytest.raises(UserError, match=rf"^devices: '0' names GPU 0, but {why}; {way_out}$"):
        parse_devices("0")


def test_gpus_are_counted_among_the_visible_ones_and_those_are_named(gpus, monkeypatch):
    gpus(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    assert [device.index for device in parse_devices("0-1")] == [0, 1]
    with pytest.raises(UserError, match=r"names GPU 4, but torch sees 0 to 1 \(CUDA_VISIBLE_DEVICES=4,5\): GPUs are"):
        parse_devices("4,5")


def test_the_environment_wins_and_is_named_where_it_is_wrong(gpus, monkeypatch):
    gpus(0)
    monkeypatch.setenv(DEVICES_VARIABLE, "cpu:2")
    assert len(parse_devices("7")) == 2
    monkeypatch.setenv(DEVICES_VARIABLE, "seven")
    with pytest.raises(UserError, match=r"T2V_DEVICES: 'seven'"):
        parse_devices("cpu")
    assert len(parse_devices("7", "cpu:3")) == 3  # the option of a command wins over both
    with pytest.raises(UserError, match=r"^--devices: 'eight'"):
        parse_devices("cpu", "eight")


def test_shares_of_a_batch_are_equal_and_leave_nothing_out():
    rows = [row for rank in range(4) for row in range(12)[Rank(rank, 4, CPU).share(12)]]
    assert rows == list(range(12))


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(UserError, match=r"train\.batch_clips 10 does not divide over 4 devices"):
        Rank(0, 4, CPU).share(10)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"penalty_shrink": 4}, "train.penalty_shrink 4"),
        ({"mixed": {"loss": "mbgan", "group": 4}}, "train.mixed.group 4"),
    ],
)
def test_what_keeps_a_batch_from_being_shared_is_named_by_its_key_alone(changes, told):
    params = tiny_params(batch_clips=8, **changes).train
    with pytest.raises(UserError) as caught:
        Rank(0, 4, CPU).share(params.batch_clips, params.shared_clips, params.sharing_key)
    assert str(caught.value).startswith(
        f"{told} does not divide 2, the part of train.batch_clips 8 on one of 4 devices"
    )


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (["dvc", "repro"], True),
        (["/usr/bin/dvc", "repro"], True),
        (["/venv/bin/python3.12", "/venv/bin/dvc", "exp", "run"], True),
        (["/venv/bin/python", "-m", "dvc", "repro"], True),
        (["python", "-B", "-m", "dvc", "exp", "exec-run"], True),
        (["bash", "-c", "cd dvc-project; python -m stages.train_model"], False),
        (["vim", "dvc"], False),
        (["python", "-m", "pytest", "dvc"], False),
        (["python", "-c", "import dvc", "dvc"], False),
        (["python", "dvc.py"], False),
        (["python", "/home/dvc/train.py"], False),
        (["python", "-m", "dvc_tools", "dvc"], False),
        (["python"], False),
        ([], False),
    ],
)
def test_only_dvc_itself_counts_as_dvc(command, answer):
    assert is_dvc(command) is answer


def test_a_first_signal_raises_the_flag_and_a_second_acts_as_always():
    with StopRequests() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGINT)
        assert stop
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_patient_run_takes_any_number_of_signals():
    with StopRequests(patient=True) as stop:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert stop


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with StopRequests():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_trainer_notices_that_its_dvc_is_gone(tmp_path):
    """A parent called `dvc` starts a shell that starts the trainer, and is killed."""
    (tmp_path / "dvc").write_text(
        "import subprocess, sys\n"
        "command = [sys.executable, '-c', sys.argv[1]]\n"
        "subprocess.Popen(['sh', '-c', '\"$@\"; true', 'sh', *command]).wait()\n"
    )
    trainer = (
        "import time, pathlib\n"
        "from pipeline.distributed.launch import StopRequests\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "with StopRequests() as stop:\n"
        "    (folder / 'before').write_text(str(bool(stop)))\n"
        "    for _ in range(300):\n"
        "        if stop: break\n"
        "        time.sleep(0.05)\n"
        "    (folder / 'new').write_text(str(bool(stop)))\n"
        "    (folder / 'new').rename(folder / 'after')\n"
    )
    parent = subprocess.Popen([sys.executable, str(tmp_path / "dvc"), trainer])
    wait_for(tmp_path / "before")
    time.sleep(0.2)
    parent.kill()  # and left a zombie until the end
    wait_for(tmp_path / "after")
    parent.wait()
    assert [(tmp_path / name).read_text() for name in ("before", "after")] == ["False", "True"]


def wait_for(path):
    """Wait until there is such a file."""
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} did not come")


@pytest.mark.parametrize(
    ("device", "deterministic", "flags"),
    [
        ("cpu", True, (True, False)),
        ("cpu", False, (True, False)),
        ("cuda", True, (True, False)),
        ("cuda", False, (False, True)),
    ],
)
def test_only_on_a_gpu_other_than_deterministic_kernels_may_be_taken(device, deterministic, flags):
    before = torch.are_deterministic_algorithms_enabled()
    try:
        set_up(torch.device(device), deterministic=deterministic)
        assert (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark) == flags
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = False
