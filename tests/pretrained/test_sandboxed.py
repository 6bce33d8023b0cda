"""A network in a sandbox describes clips by the same bytes as outside, and can do nothing else."""

import numpy as np
import pytest
import torch
from planted_networks import take_over
from pretrained_files import TinyI3D, write_clip, write_i3d, write_videomae
from torch import Tensor

from pipeline import pretrained
from pipeline.compute.isolation import find_missing
from pipeline.errors import UserError
from pipeline.pretrained import SandboxedNetwork, list_networks, load_networks
from pipeline.pretrained.networks import NETWORK_PATHS

CPU = torch.device("cpu")
MISSING = find_missing()
SECRET = b"kept by its owner"
pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit"),
    pytest.mark.skipif(bool(MISSING), reason=f"this kernel lacks {MISSING}"),
]


class ReadingI3D(TinyI3D):
    """A TorchScript program that reads another file, and tells its bytes as features."""

    def __init__(self, path: str, length: int) -> None:
        super().__init__()
        self.path, self.length = path, length

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        found = torch.zeros(x.shape[0], 400)
        found[:, : self.length] = torch.from_file(self.path, False, self.length, dtype=torch.uint8).float()
        return found if rescale and resize and return_features else x


def clips(count, frames=12):
    return np.random.default_rng(1).integers(0, 256, (count, frames, 24, 40, 3), dtype=np.uint8)


def compare(folder, frames):
    """Both ways to open the networks of a folder -> the sandboxed ones; they answer everything alike."""
    plain, inside = (load_networks(folder, CPU, mode) for mode in ("off", "require"))
    shown = clips(6)  # more than one batch
    assert plain.keys() == inside.keys()
    for name, network in inside.items():
        assert isinstance(network, SandboxedNetwork)
        assert network.digest == plain[name].digest
        assert [network.find_obstacle(count) for count in frames] == [
            plain[name].find_obstacle(count) for count in frames
        ]
        features = network.extract_all(shown)
        assert (features.dtype, features.tobytes()) == (np.float64, plain[name].extract_all(shown).tobytes())
    return plain, inside


def test_i3d_describes_clips_by_the_same_bytes_inside(tmp_path):
    write_i3d(tmp_path / NETWORK_PATHS["i3d"])
    compare(tmp_path, (9, 10))


@pytest.mark.slow
def test_networks_of_folders_describe_clips_and_captions_by_the_same_bytes_inside(tmp_path):
    write_videomae(tmp_path / "videomae")
    write_clip(tmp_path / "real" / "clip")
    (tmp_path / "clip").mkdir()
    for file in (tmp_path / "real" / "clip").iterdir():  # as in a cache of Hugging Face
        (tmp_path / "clip" / file.name).symlink_to(file)
    assert list_networks(tmp_path) == ["videomae", "clip"]
    plain, inside = compare(tmp_path, (1, 3, 4))
    texts = ["a cab", "a very long caption that goes far beyond what it knows"]
    assert inside["clip"].embed_captions(texts).equal(plain["clip"].embed_captions(texts))


def test_a_torchscript_program_reads_a_secret_outside_and_not_inside(tmp_path):
    secret = tmp_path / "home" / "secret"
    secret.parent.mkdir()
    secret.write_bytes(SECRET)
    folder = tmp_path / "weights"
    write_i3d(folder / NETWORK_PATHS["i3d"], ReadingI3D(str(secret), len(SECRET)))
    told = load_networks(folder, CPU, "off")["i3d"].extract_all(clips(1))
    assert bytes(told[0, : len(SECRET)].astype(np.uint8)) == SECRET
    inside = load_networks(folder, CPU, "require")["i3d"]
    with pytest.raises(UserError, match=r"no features come from this network \(.*unable to open file <\S*secret>"):
        inside.extract_all(clips(1))


@pytest.mark.parametrize(
    ("attempt", "told"),
    [
        ("read_secret", "Permission denied"),
        pytest.param(
            "connect", r"made a system call that its sandbox forbids \(SIGSYS\), 2 times", marks=pytest.mark.slow
        ),
        ("die", "died of SIGKILL, 2 times"),
        pytest.param("hang", "not done after 1 seconds", marks=pytest.mark.slow),
        ("answer_too_little", r"sent an invalid answer: 21 bytes of features of 1 rows"),
        pytest.param(
            "answer_no_numbers", "sent an invalid answer: features that are not finite", marks=pytest.mark.slow
        ),
    ],
)
def test_a_child_that_is_taken_over_gives_no_features(tmp_path, monkeypatch, attempt, told):
    (tmp_path / "secret").write_bytes(SECRET)
    path = write_i3d(tmp_path / "weights" / NETWORK_PATHS["i3d"])
    monkeypatch.setattr(pretrained, "SECONDS", 1.0)
    monkeypatch.setattr(
        pretrained, "NetworkFunction", lambda name, path, _: take_over(name, path, attempt, str(tmp_path / "secret"))
    )
    network = SandboxedNetwork("i3d", path, "require")
    with pytest.raises((UserError, PermissionError), match=told) as caught:
        network.extract_all(clips(1))
    if isinstance(caught.value, UserError):
        assert f"{path}: no features come from this network" in str(caught.value)


def test_all_clips_are_described_by_as_many_values(tmp_path):
    path = write_i3d(tmp_path / NETWORK_PATHS["i3d"])
    function = pretrained.NetworkFunction("i3d", path, 1)
    function.check(pretrained.Question(captions=("a",)), "answer", "", bytearray(16))
    with pytest.raises(pretrained.BadAnswer, match="24 bytes of features of 1 rows"):
        function.check(pretrained.Question(captions=("a",)), "answer", "", bytearray(24))


@pytest.mark.parametrize("mode", ["off", "require"])
def test_a_file_that_is_no_network_is_named_as_well_inside(tmp_path, mode):
    (tmp_path / NETWORK_PATHS["i3d"]).write_bytes(b"no network")
    with pytest.raises(UserError, match=r"i3d_torchscript\.pt: not a TorchScript file"):
        load_networks(tmp_path, CPU, mode)


def test_a_gpu_is_used_outside_which_is_told_or_refused(tmp_path, monkeypatch, capsys):
    write_i3d(tmp_path / NETWORK_PATHS["i3d"])
    monkeypatch.setattr(pretrained, "_load_here", lambda folder, device: {folder.name: device.type})
    gpu = torch.device("cuda", 0)
    assert load_networks(tmp_path, gpu, "off") == {tmp_path.name: "cuda"}
    assert capsys.readouterr().err == ""
    assert load_networks(tmp_path, gpu, "auto") == {tmp_path.name: "cuda"}
    told = "warning: pretrained networks run on a GPU outside the sandbox; with devices: cpu they are inside\n"
    assert capsys.readouterr().err == told
    with pytest.raises(UserError, match=r"outside the sandbox, which compute\.sandbox requires; take devices: cpu"):
        load_networks(tmp_path, gpu, "require")


def test_the_child_ends_with_its_network(tmp_path):
    network = SandboxedNetwork("i3d", write_i3d(tmp_path / NETWORK_PATHS["i3d"]), "require")
    sandbox = network._sandbox
    assert sandbox._child is not None
    del network
    assert sandbox._child is None
