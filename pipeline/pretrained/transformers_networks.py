"""CLIP, VideoMAE and V-JEPA 2 from folders of `transformers`: clips and texts -> features.

Such a folder holds config.json, model.safetensors and preprocessor_config.json.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor

from pipeline.errors import UserError, first_line
from pipeline.files import digest_file, digest_value, read_json
from pipeline.pretrained.network import Network, select_frames

TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
DIGESTED = ("*.json", "*.txt", "*.safetensors")

FILES = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")
MODES = {2: "bilinear", 3: "bicubic"}  # by the numbers that Pillow gives them
Sides = tuple[int, int]  # height, width


def import_library() -> Any:
    """The package `transformers`, which takes seconds to load. Raises UserError where it is not installed."""
    try:
        import transformers
    except ImportError:
        raise UserError(
            "the networks in evaluate.pretrained.weights need transformers; pip install -c constraints.txt "
            "'.[pretrained]', or take them out of that folder"
        ) from None
    transformers.utils.logging.set_verbosity_error()  # what it warns of is looked for below
    transformers.utils.logging.disable_progress_bar()
    return transformers


def open_network(folder: Path, kind: str, name: str, device: torch.device) -> Any:
    """The network of a folder in float32: `name`ForVideoClassification, less its last layer, or `name`Model.

    Raises UserError where the folder holds another kind, or weights that are damaged or do not fit. Nothing is fetched
    and nothing unpickled.
    """
    config = _read_config(folder, kind)
    classifies = f"{name}ForVideoClassification" in (config.get("architectures") or ())
    network_class = getattr(import_library(), f"{name}ForVideoClassification" if classifies else f"{name}Model")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: holds no model.safetensors; fetch it, or save the model again with save_pretrained")
    try:
        network, report = network_class.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder}: not the {name} that its config.json describes ({first_line(error)})") from None
    # The library would fill these with noise and go on.
    if lacking := sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}):
        missing = f"{len(lacking)} of the weights of the {name} in config.json, {lacking[0]} among them"
        raise UserError(f"{folder}: model.safetensors lacks {missing}, or has them in other sizes; fetch both again")
    if classifies:
        network.classifier = torch.nn.Identity()
    return network.to(device).eval().requires_grad_(False)


def _read_config(folder: Path, kind: str) -> dict[str, Any]:
    path = folder / "config.json"
    if not folder.is_dir():
        raise UserError(f"{folder}: a file; make it a folder with config.json, model.safetensors and the other files")
    config = read_json(path, "fetch all of the folder, not the weights alone")
    found = config.get("model_type") if isinstance(config, dict) else None
    if found != kind:
        raise UserError(f"{path}: describes a network of the kind {found}, where {kind} is expected")
    return dict(config)


def digest_folder(folder: Path) -> str:
    """SHA-256 over the files that make up a network; the folder may hold others."""
    files = sorted({path for pattern in DIGESTED for path in folder.glob(pattern)})
    return digest_value({path.name: digest_file(path) for path in files})


@dataclass(frozen=True)
class Pixels:
    """How frames become the numbers that a network takes."""

    path: Path  # of the file that describes this
    wanted: Sides  # of what the network takes
    shorter: int | None  # the shorter side is resized to this, the other one in proportion
    resized: Sides | None  # or both sides are resized to these; neither: as they are
    cut: Sides | None  # the middle is cut out
    mode: str
    scale: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def prepare(self, clips: Tensor) -> Tensor:
        """uint8 [B,T,H,W,3] -> float [B,T,3,H',W']. Raises UserError where that is not what the network takes."""
        x = clips.flatten(0, 1).permute(0, 3, 1, 2)  # [B*T,3,H,W]
        if self.shorter or self.resized:
            # In whole grey levels, which torch has on the CPU alone, and as Pillow does it: so they were in training.
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


def read_pixels(folder: Path, wanted: Sides) -> Pixels:
    """How the folder of a network wants its frames. Raises UserError where its file is missing or cannot be used."""
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        raise UserError(f"{folder}: holds no {FILES[1]}, which tells how frames are resized; fetch it with the weights")
    config = read_json(path, "fetch it again")
    try:
        return _parse(path, config.get("video_processor") or config.get("image_processor") or config, wanted)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: does not tell how frames are resized ({error!r}); fetch it again") from None


def _parse(path: Path, config: dict[str, Any], wanted: Sides) -> Pixels:
    size = config["size"] if config.get("do_resize", True) else {}
    size = {"shortest_edge": size} if isinstance(size, int) else size  # as older files have it
    normalised = config.get("do_normalize", True)
    return Pixels(
        path=path,
        wanted=wanted,
        shorter=size.get("shortest_edge"),
        resized=parse_sides(size) if "height" in size else None,
        cut=parse_sides(config["crop_size"]) if config.get("do_center_crop", False) else None,
        mode=MODES[config["resample"]],
        scale=config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0,
        mean=tuple(map(float, config["image_mean"])) if normalised else (0.0, 0.0, 0.0),
        deviation=tuple(map(float, config["image_std"])) if normalised else (1.0, 1.0, 1.0),
    )


def parse_sides(size: Any) -> Sides:
    """Height and width from any of the ways to write them: 224, [224, 224] or {"height": 224, "width": 224}."""
    if isinstance(size, int):
        return size, size
    height, width = (size["height"], size["width"]) if isinstance(size, dict) else size
    return int(height), int(width)


class CLIP(Network):
    """Describes a clip by the mean over its frames of their unit vectors; it knows no order of frames.

    So the product with the unit vector of a caption is the mean of the frames' cosines, as Wu et al. 2021 (GODIVA),
    arXiv:2104.14806, measure how a video fits a text.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._network = open_network(folder, "clip", "CLIP", device)
        self._pixels = read_pixels(folder, parse_sides(self._network.config.vision_config.image_size))
        self._tokenizer = _open_tokenizer(folder, self._network.config.text_config.vocab_size)
        super().__init__(folder, digest_folder(folder), device)

    def find_obstacle(self, frames: int) -> str:  # noqa: ARG002  one is enough
        return ""

    def extract(self, clips: Tensor) -> Tensor:
        x = self._pixels.prepare(clips).to(self.device)
        vectors = self._network.get_image_features(pixel_values=x.flatten(0, 1)).pooler_output  # [B*T,E]
        return F.normalize(vectors, dim=1).view(*clips.shape[:2], -1).mean(dim=1)

    def embed_captions(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors [N,E] of texts; what is beyond the length that it knows is cut off."""
        most = self._network.config.text_config.max_position_embeddings
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, max_length=most, return_tensors="pt")
        with torch.inference_mode():
            vectors = self._network.get_text_features(**tokens.to(self.device)).pooler_output
        return F.normalize(vectors, dim=1).cpu().double()


def _open_tokenizer(folder: Path, words: int) -> Any:
    # Without these files the library would make a tokenizer that knows no word.
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        raise UserError(f"{folder}: holds no tokenizer.json, nor vocab.json and merges.txt; fetch them, too")
    try:
        tokenizer = import_library().AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder}: its tokenizer cannot be read ({first_line(error)}); fetch it again") from None
    if len(tokenizer) > words:
        raise UserError(f"{folder}: its tokenizer has {len(tokenizer)} tokens, its network {words}; fetch both again")
    return tokenizer


class VideoMAE(Network):
    """Tong et al. 2022, arXiv:2203.12602. Its places in time are fixed: longer clips are thinned out."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._network = open_network(folder, "videomae", "VideoMAE", device)
        self._pixels = read_pixels(folder, parse_sides(self._network.config.image_size))
        super().__init__(folder, digest_folder(folder), device)

    def find_obstacle(self, frames: int) -> str:
        needed = self._network.config.num_frames
        return f"clips of {frames} frames, this VideoMAE needs {needed}" if frames < needed else ""

    def extract(self, clips: Tensor) -> Tensor:
        x = self._pixels.prepare(select_frames(clips, self._network.config.num_frames)).to(self.device)
        return _pooled(self._network(pixel_values=x))


class VJEPA2(Network):
    """Assran et al. 2025, arXiv:2506.09985. Its places in time are relative: shorter clips are seen as they are."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._network = open_network(folder, "vjepa2", "VJEPA2", device)
        self._pixels = read_pixels(folder, parse_sides(self._network.config.crop_size))
        super().__init__(folder, digest_folder(folder), device)

    def find_obstacle(self, frames: int) -> str:
        needed = self._network.config.tubelet_size
        return f"clips of {frames} frames, V-JEPA 2 needs {needed}" if frames < needed else ""

    def extract(self, clips: Tensor) -> Tensor:
        config = self._network.config
        count = min(clips.shape[1], config.frames_per_clip) // config.tubelet_size * config.tubelet_size
        x = self._pixels.prepare(select_frames(clips, count)).to(self.device)
        # Without the switch the bare network would go on to guess what is masked, of which there is nothing.
        bare = {} if hasattr(self._network, "classifier") else {"skip_predictor": True}
        return _pooled(self._network(pixel_values_videos=x, **bare))


def _pooled(output: Any) -> Tensor:
    features: Tensor = output.logits if hasattr(output, "logits") else output.last_hidden_state.mean(dim=1)
    return features
