"""I3D as in the StyleGAN-V protocol: the network of FVD, i3d_torchscript.pt.

Unterthiner et al. 2018 (FVD), arXiv:1812.01717; Skorokhodov et al. 2022 (StyleGAN-V), arXiv:2112.14683.
"""

from pathlib import Path

import torch
from torch import Tensor

from pipeline.errors import UserError, first_line
from pipeline.files import digest_file
from pipeline.pretrained.network import Network

FEATURES = 400
LEAST_FRAMES = 10  # it halves time four times and then looks at two moments
SWITCHES = ("rescale", "resize", "return_features")


class I3D(Network):
    """Describes clips of any height and width by 400 values; the file itself resizes to 224x224, and scales."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Raises UserError where the file is no such network."""
        try:
            network = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]
        except (RuntimeError, OSError) as error:
            reason = f"not a TorchScript file ({first_line(error)})"
            raise UserError(f"{path}: {reason}; see docs/how-to/pretrained-metrics.md") from None
        schema = getattr(network.forward, "schema", None)
        takes = [argument.name for argument in schema.arguments] if schema else []
        if missing := [name for name in SWITCHES if name not in takes]:
            raise UserError(
                f"{path}: a TorchScript network without the switch {missing[0]}, so not the i3d_torchscript.pt of "
                "StyleGAN-V; see docs/how-to/pretrained-metrics.md"
            )
        super().__init__(path, digest_file(path), device)
        self._network = network.eval()

    def find_obstacle(self, frames: int) -> str:
        return f"clips of {frames} frames, I3D needs {LEAST_FRAMES}" if frames < LEAST_FRAMES else ""

    def extract(self, clips: Tensor) -> Tensor:
        x = clips.permute(0, 4, 1, 2, 3).contiguous().to(self.device)  # [B,3,T,H,W]
        features: Tensor = self._network(x, **dict.fromkeys(SWITCHES, True))
        if features.shape != (len(clips), FEATURES):
            found = list(features.shape[1:])
            raise UserError(f"{self.path}: describes a clip by {found} values, where I3D has [{FEATURES}]")
        return features
