"""The base class of pretrained networks."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import UserError
from pipeline.records import Frames

AT_ONCE = 4  # clips in one pass: at 16 frames of 224x224 each takes tens of megabytes in every layer


class Network(ABC):
    """Extracts features of clips. Figures compare only where `digest`, that of the network's files, is the same."""

    def __init__(self, path: Path, digest: str, device: torch.device) -> None:
        self.path = path
        self.digest = digest
        self.device = device

    @abstractmethod
    def find_obstacle(self, frames: int) -> str:
        """Why it cannot read clips with this many frames; empty where it can."""

    @abstractmethod
    def extract(self, clips: Tensor) -> Tensor:
        """uint8 [B,T,H,W,3], not yet on the device -> features [B,F]."""

    def extract_all(self, frames: Frames) -> NDArray[np.float64]:
        """Features [N,F] of any number of clips, uint8 [N,T,H,W,3]. Raises UserError where they are not finite."""
        with torch.inference_mode():
            parts = [
                self.extract(torch.from_numpy(np.ascontiguousarray(frames[at : at + AT_ONCE]))).cpu()
                for at in range(0, len(frames), AT_ONCE)
            ]
        features = torch.cat(parts).double()
        if not features.isfinite().all():
            raise UserError(f"{self.path}: describes clips by values that are no numbers; its weights are damaged")
        return features.numpy()


def select_frames(clips: Tensor, count: int) -> Tensor:
    """`count` frames of clips [B,T,H,W,3], evenly spread from the first to the last."""
    return clips[:, torch.linspace(0, clips.shape[1] - 1, count).round().long()]
