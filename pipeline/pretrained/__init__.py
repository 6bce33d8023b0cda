"""Pretrained networks, from files on this machine: clips in, features out. Nothing is downloaded."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch

from pipeline.pretrained.i3d import I3D
from pipeline.pretrained.network import Network
from pipeline.pretrained.transformers_networks import CLIP, VJEPA2, VideoMAE

NetworkName = Literal["i3d", "videomae", "vjepa2", "clip"]
PLACES: dict[NetworkName, str] = {
    "i3d": "i3d_torchscript.pt",
    "videomae": "videomae",
    "vjepa2": "vjepa2",
    "clip": "clip",
}
KINDS: dict[NetworkName, Callable[[Path, torch.device], Network]] = {
    "i3d": I3D,
    "videomae": VideoMAE,
    "vjepa2": VJEPA2,
    "clip": CLIP,
}
Networks = Mapping[NetworkName, Network]


def list_networks(folder: Path) -> list[NetworkName]:
    """The names of the networks in `folder`."""
    return [name for name, place in PLACES.items() if (folder / place).exists()]


def load_networks(folder: Path, device: torch.device) -> Networks:
    """The networks in `folder`, by name. Raises UserError where a file is not the network that its name says."""
    return {name: KINDS[name](folder / PLACES[name], device) for name in list_networks(folder)}
