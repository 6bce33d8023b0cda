"""I3D by the call of StyleGAN-V, on a tiny network with the same switches."""

import numpy as np
import pytest
import torch
from pretrained_files import TinyI3D, write_i3d
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.pretrained.networks import I3D, I3D_FEATURES, I3D_MIN_FRAMES

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit")


class Plain(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float().mean(dim=(2, 3, 4))


def clips(count, frames=10, height=24, width=40):
    return np.random.default_rng(1).integers(0, 256, (count, frames, height, width, 3), dtype=np.uint8)


def test_features_are_those_of_the_raw_file_called_with_all_switches(tmp_path):
    network = I3D(write_i3d(tmp_path / "i3d.pt"), CPU)
    shown = clips(6)  # more than one batch
    features = network.extract_all(shown)
    raw = torch.jit.load(tmp_path / "i3d.pt")
    x = torch.from_numpy(shown).permute(0, 4, 1, 2, 3)
    expected = raw(x, rescale=True, resize=True, return_features=True)
    assert (features.shape, features.dtype) == ((6, I3D_FEATURES), np.float64)
    assert np.allclose(features, expected.detach().numpy(), atol=1e-5)


def test_clips_of_fewer_frames_than_it_can_halve_are_refused_with_the_number(tmp_path):
    network = I3D(write_i3d(tmp_path / "i3d.pt"), CPU)
    assert network.find_obstacle(I3D_MIN_FRAMES) == ""
    assert network.find_obstacle(I3D_MIN_FRAMES - 1) == "clips of 9 frames, I3D needs 10"


def test_other_weights_have_another_digest(tmp_path):
    one = I3D(write_i3d(tmp_path / "one.pt"), CPU).digest
    assert one == I3D(tmp_path / "one.pt", CPU).digest
    assert one != I3D(write_i3d(tmp_path / "two.pt", TinyI3D().requires_grad_(False).half().float()), CPU).digest


@pytest.mark.parametrize("data", [b"", b"no network" * 50])
def test_a_file_that_is_no_torchscript_is_named(tmp_path, data):
    (tmp_path / "i3d.pt").write_bytes(data)
    with pytest.raises(UserError, match=r"i3d\.pt: not a TorchScript file .* see docs/how-to/pretrained-metrics\.md"):
        I3D(tmp_path / "i3d.pt", CPU)


def test_weights_alone_are_no_torchscript(tmp_path):
    torch.save(TinyI3D().state_dict(), tmp_path / "i3d.pt")
    with pytest.raises(UserError, match=r"i3d\.pt: not a TorchScript file"):
        I3D(tmp_path / "i3d.pt", CPU)


def test_a_network_of_another_call_or_width_says_what_was_expected(tmp_path):
    with pytest.raises(UserError, match=r"i3d\.pt: a TorchScript network without the switch rescale, so not"):
        I3D(write_i3d(tmp_path / "i3d.pt", Plain()), CPU)
    with pytest.raises(UserError, match=r"i3d\.pt: describes a clip by \[1024\] values, where I3D has \[400\]"):
        I3D(write_i3d(tmp_path / "i3d.pt", TinyI3D(1024)), CPU).extract_all(clips(1))


def test_features_that_are_no_numbers_are_an_error_and_never_a_figure(tmp_path):
    broken = TinyI3D()
    nn.init.constant_(broken.look.bias, torch.nan)
    with pytest.raises(UserError, match=r"i3d\.pt: its features of clips are not finite"):
        I3D(write_i3d(tmp_path / "i3d.pt", broken), CPU).extract_all(clips(2))
