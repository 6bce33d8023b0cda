"""How the frames of clips are preprocessed for a pretrained network, from the config beside its weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.errors import UserError, describe_fault
from pipeline.files import read_json

PREPROCESSOR_FILES = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")
RESAMPLING = {2: "bilinear", 3: "bicubic"}  # Pillow's codes
Sides = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Preprocessor:
    """How frames are preprocessed for a network."""

    path: Path  # of the preprocessor config
    wanted: Sides  # that the network takes
    shorter: int | None  # resize the shorter side to this, keeping the aspect ratio
    resized: Sides | None  # or resize to these sides; if both are None, do not resize
    cut: Sides | None  # centre crop
    mode: str
    scale: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def prepare(self, clips: Tensor) -> Tensor:
        """uint8 [B,T,H,W,3] -> float [B,T,3,H',W']. Raises UserError if the network takes another size."""
        x = clips.flatten(0, 1).permute(0, 3, 1, 2)  # [B*T,3,H,W]
        if self.shorter or self.resized:
            # In uint8 and antialiased, as Pillow does and as in training; torch supports this on the CPU only.
            x = F.interpolate(x, self._sides(*x.shape[2:]), mode=self.mode, antialias=True)
        if self.cut:
            top, left = ((have - want) // 2 for have, want in zip(x.shape[2:], self.cut, strict=True))
            x = x[:, :, max(top, 0) :, max(left, 0) :][:, :, : self.cut[0], : self.cut[1]]
        if x.shape[2:] != self.wanted:
            sizes = " and ".join("x".join(map(str, sides)) for sides in (x.shape[2:], self.wanted))
            raise UserError(f"{self.path}: the frames that it asks for and those that its network takes are {sizes}")
        mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.deviation))
        return ((x * self.scale - mean) / deviation).view(*clips.shape[:2], *x.shape[1:])

    def _sides(self, height: int, width: int) -> Sides:
        if self.resized:
            return self.resized
        short = self.shorter or min(height, width)
        return (short, short * width // height) if height <= width else (short * height // width, short)


def find_preprocessor_config(folder: Path) -> Path:
    """The preprocessor config of a network. Raises UserError if there is none."""
    for name in PREPROCESSOR_FILES:
        if (folder / name).is_file():
            return folder / name
    raise UserError(
        f"{folder}: holds no {PREPROCESSOR_FILES[1]}, which tells how frames are resized; fetch it with the weights"
    )


def read_preprocessor(folder: Path, wanted: Sides) -> Preprocessor:
    """Read the preprocessor config of a network. Raises UserError if it is missing or unusable."""
    path = find_preprocessor_config(folder)
    config = read_json(path, "fetch it again")
    try:
        return _parse(path, config.get("video_processor") or config.get("image_processor") or config, wanted)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fault = describe_fault(error)
        raise UserError(f"{path}: does not tell how frames are resized ({fault}); fetch it again") from None


def _parse(path: Path, config: dict[str, Any], wanted: Sides) -> Preprocessor:
    size = config["size"] if config.get("do_resize", True) else {}
    size = {"shortest_edge": size} if isinstance(size, int) else size  # in older files
    normalised = config.get("do_normalize", True)
    return Preprocessor(
        path=path,
        wanted=wanted,
        shorter=size.get("shortest_edge"),
        resized=parse_sides(size) if "height" in size else None,
        cut=parse_sides(config["crop_size"]) if config.get("do_center_crop", False) else None,
        mode=RESAMPLING[config["resample"]],
        scale=config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0,
        mean=tuple(map(float, config["image_mean"])) if normalised else (0.0, 0.0, 0.0),
        deviation=tuple(map(float, config["image_std"])) if normalised else (1.0, 1.0, 1.0),
    )


def parse_sides(size: Any) -> Sides:
    """Height and width from any of their notations: 224, [224, 224] or {"height": 224, "width": 224}."""
    if isinstance(size, int):
        return size, size
    height, width = (size["height"], size["width"]) if isinstance(size, dict) else size
    return int(height), int(width)
