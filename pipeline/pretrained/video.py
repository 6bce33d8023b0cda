"""Transformers over space and time: VideoMAE and V-JEPA 2.

Each describes a clip by the mean of its tokens; where the folder holds a classifier of videos, by what the last layer
of that is given. So do Ge et al. 2024, arXiv:2404.12391, with VideoMAE and Luo et al. 2024, arXiv:2410.05203, with
V-JEPA.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.pretrained.folders import digest_folder, open_network
from pipeline.pretrained.network import Network, spread
from pipeline.pretrained.pixels import both, read_pixels


class VideoMAE(Network):
    """Tong et al. 2022, arXiv:2203.12602. Its places in time are fixed: longer clips are thinned out."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._network = open_network(folder, "videomae", "VideoMAE", device)
        self._pixels = read_pixels(folder, both(self._network.config.image_size))
        super().__init__(folder, digest_folder(folder), device)

    def fault(self, frames: int) -> str:
        needed = self._network.config.num_frames
        return f"clips of {frames} frames, this VideoMAE needs {needed}" if frames < needed else ""

    def describe(self, clips: Tensor) -> Tensor:
        x = self._pixels.prepare(spread(clips, self._network.config.num_frames)).to(self.device)
        return _pooled(self._network(pixel_values=x))


class VJEPA2(Network):
    """Assran et al. 2025, arXiv:2506.09985. Its places in time are relative: shorter clips are seen as they are."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._network = open_network(folder, "vjepa2", "VJEPA2", device)
        self._pixels = read_pixels(folder, both(self._network.config.crop_size))
        super().__init__(folder, digest_folder(folder), device)

    def fault(self, frames: int) -> str:
        needed = self._network.config.tubelet_size
        return f"clips of {frames} frames, V-JEPA 2 needs {needed}" if frames < needed else ""

    def describe(self, clips: Tensor) -> Tensor:
        config = self._network.config
        count = min(clips.shape[1], config.frames_per_clip) // config.tubelet_size * config.tubelet_size
        x = self._pixels.prepare(spread(clips, count)).to(self.device)
        # Without the switch the bare network would go on to guess what is masked, of which there is nothing.
        bare = {} if hasattr(self._network, "classifier") else {"skip_predictor": True}
        return _pooled(self._network(pixel_values_videos=x, **bare))


def _pooled(output: Any) -> Tensor:
    features: Tensor = output.logits if hasattr(output, "logits") else output.last_hidden_state.mean(dim=1)
    return features
