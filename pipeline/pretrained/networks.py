"""Pretrained networks from local files: clips -> features. Nothing is downloaded.

I3D, the network of FVD, is a single file, as in the protocol of StyleGAN-V: Unterthiner et al. 2018 (FVD),
arXiv:1812.01717; Skorokhodov et al. 2022 (StyleGAN-V), arXiv:2112.14683. CLIP, VideoMAE and V-JEPA 2 are folders of
`transformers` with config.json, model.safetensors and preprocessor_config.json.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import UserError, describe_fault, first_line, name_install
from pipeline.files import digest_file, digest_value, read_json
from pipeline.pretrained.weights import check_contents, check_weights, list_faults, refuse_quantised
from pipeline.records import Frames

BATCH_CLIPS = 4  # clips per pass: 16 frames of 224x224 take tens of megabytes in every layer

I3D_FEATURES = 400
I3D_MIN_FRAMES = 10  # time is halved four times, and the last layer needs two steps
I3D_SWITCHES = ("rescale", "resize", "return_features")

CONFIG = "config.json"
INCOMPLETE = "fetch all of the folder, not the weights alone"
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
DIGESTED = ("*.json", "*.txt", "*.safetensors")

PREPROCESSOR_FILES = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")
RESAMPLING = {2: "bilinear", 3: "bicubic"}  # Pillow's codes
Sides = tuple[int, int]  # height, width


class Network(ABC):
    """Extracts features of clips. Metrics are comparable only if `digest`, that of the network's files, is equal."""

    def __init__(self, path: Path, digest: str, device: torch.device) -> None:
        self.path = path
        self.digest = digest
        self.device = device

    @abstractmethod
    def find_obstacle(self, frames: int) -> str:
        """Why it cannot take clips with this many frames; empty if it can."""

    @abstractmethod
    def extract(self, clips: Tensor) -> Tensor:
        """uint8 [B,T,H,W,3], not yet on the device -> features [B,F]."""

    def extract_all(self, frames: Frames) -> NDArray[np.float64]:
        """Features [N,F] of any number of clips, uint8 [N,T,H,W,3]. Raises UserError if they are not finite."""
        with torch.inference_mode():
            parts = [
                self.extract(torch.from_numpy(np.ascontiguousarray(frames[at : at + BATCH_CLIPS]))).cpu()
                for at in range(0, len(frames), BATCH_CLIPS)
            ]
        features = torch.cat(parts).double()
        if not features.isfinite().all():
            raise UserError(f"{self.path}: its features of clips are not finite; its weights are damaged")
        return features.numpy()


class CaptionNetwork(Network):
    """A network that also embeds captions, into the space of its clip features."""

    @abstractmethod
    def embed_captions(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors [N,E] of texts, which are truncated to the network's maximum length."""


def _select_frames(clips: Tensor, count: int) -> Tensor:
    """`count` frames of clips [B,T,H,W,3], evenly spread from the first to the last."""
    return clips[:, torch.linspace(0, clips.shape[1] - 1, count).round().long()]


class I3D(Network):
    """400 features of clips of any height and width; the network itself resizes to 224x224 and rescales."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Raises UserError if the file is not this network."""
        try:
            network = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]
        except (RuntimeError, OSError) as error:
            reason = f"not a TorchScript file ({first_line(error)})"
            raise UserError(f"{path}: {reason}; see docs/how-to/pretrained-metrics.md") from None
        schema = getattr(network.forward, "schema", None)
        takes = [argument.name for argument in schema.arguments] if schema else []
        if missing := [name for name in I3D_SWITCHES if name not in takes]:
            raise UserError(
                f"{path}: a TorchScript network without the switch {missing[0]}, so not the i3d_torchscript.pt of "
                "StyleGAN-V; see docs/how-to/pretrained-metrics.md"
            )
        super().__init__(path, digest_network(path), device)
        self._network = network.eval()

    def find_obstacle(self, frames: int) -> str:
        return f"clips of {frames} frames, I3D needs {I3D_MIN_FRAMES}" if frames < I3D_MIN_FRAMES else ""

    def extract(self, clips: Tensor) -> Tensor:
        x = clips.permute(0, 4, 1, 2, 3).contiguous().to(self.device)  # [B,3,T,H,W]
        features: Tensor = self._network(x, **dict.fromkeys(I3D_SWITCHES, True))
        if features.shape != (len(clips), I3D_FEATURES):
            found = list(features.shape[1:])
            raise UserError(f"{self.path}: describes a clip by {found} values, where I3D has [{I3D_FEATURES}]")
        return features


def _import_library() -> Any:
    """The package `transformers`, which takes seconds to load. Raises UserError if it is not installed."""
    try:
        import transformers
    except ImportError:
        raise UserError(
            f"the networks in evaluate.pretrained.weights need transformers; {name_install('pretrained')}, or take "
            "them out of that folder"
        ) from None
    transformers.utils.logging.set_verbosity_error()  # the causes of its warnings are checked below
    transformers.utils.logging.disable_progress_bar()
    return transformers


def import_code(name: "NetworkName") -> None:
    """Import the modules of `transformers` that a network needs, which are otherwise imported lazily."""
    for part in LIBRARY_PARTS[name]:
        getattr(_import_library(), part)


def check_files(path: Path, name: "NetworkName") -> None:
    """Check that the files of a network exist; reads none of the weights. Raises UserError for the first that does not,
    or that is a pointer of Git LFS or has a byte order mark."""
    if name == "i3d":
        return
    if not path.is_dir():
        raise UserError(f"{path}: a file; make it a folder with config.json, model.safetensors and the other files")
    if not (path / CONFIG).is_file():
        raise UserError(f"{path / CONFIG}: no such file; {INCOMPLETE}")
    check_weights(path)
    check_contents(file for file in list_files(path) if file.name not in PREPROCESSOR_FILES)
    _find_preprocessor_config(path)
    # Without these files, the library would create a tokenizer with an empty vocabulary.
    if name == "clip" and not any(all((path / file).is_file() for file in files) for files in TOKENIZERS):
        raise UserError(f"{path}: holds no tokenizer.json, nor vocab.json and merges.txt; fetch them, too")


def _open_network(folder: Path, kind: "NetworkName", name: str, device: torch.device) -> Any:
    """The network of a folder in float32: `name`ForVideoClassification without its last layer, or `name`Model.

    Raises UserError if the folder has another kind of network, or weights that are damaged or do not match. Nothing is
    downloaded or unpickled.
    """
    check_files(folder, kind)
    config = _read_config(folder, kind)
    classifies = f"{name}ForVideoClassification" in (config.get("architectures") or ())
    network_class = getattr(_import_library(), f"{name}ForVideoClassification" if classifies else f"{name}Model")
    try:
        network, report = network_class.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
        refuse_quantised(folder)
    except list_faults() as error:
        raise UserError(f"{folder}: not the {name} that its config.json describes ({describe_fault(error)})") from None
    # The library would initialise these randomly.
    if lacking := sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}):
        missing = f"{len(lacking)} of the weights of the {name} in config.json, {lacking[0]} among them"
        raise UserError(f"{folder}: model.safetensors lacks {missing}, or has them in other sizes; fetch both again")
    if classifies:
        network.classifier = torch.nn.Identity()
    return network.to(device).eval().requires_grad_(False)


def _read_config(folder: Path, kind: str) -> dict[str, Any]:
    path = folder / CONFIG
    config = read_json(path, INCOMPLETE)
    found = config.get("model_type") if isinstance(config, dict) else None
    if found != kind:
        way = f"put a network of the kind {kind} there; see docs/how-to/pretrained-metrics.md"
        raise UserError(f"{path}: describes a network of the kind {found}, where {kind} is expected; {way}")
    return dict(config)


def digest_network(path: Path) -> str:
    """SHA-256 of a network's file, or of the relevant files in its folder."""
    if path.is_dir():
        return digest_value({file.name: digest_file(file) for file in list_files(path)})
    return digest_file(path)


def list_files(folder: Path) -> list[Path]:
    """The relevant files in a network's folder."""
    return sorted({path for pattern in DIGESTED for path in folder.glob(pattern)})


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


def _find_preprocessor_config(folder: Path) -> Path:
    """The preprocessor config of a network. Raises UserError if there is none."""
    for name in PREPROCESSOR_FILES:
        if (folder / name).is_file():
            return folder / name
    raise UserError(
        f"{folder}: holds no {PREPROCESSOR_FILES[1]}, which tells how frames are resized; fetch it with the weights"
    )


def read_preprocessor(folder: Path, wanted: Sides) -> Preprocessor:
    """Read the preprocessor config of a network. Raises UserError if it is missing or unusable."""
    path = _find_preprocessor_config(folder)
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
        resized=_parse_sides(size) if "height" in size else None,
        cut=_parse_sides(config["crop_size"]) if config.get("do_center_crop", False) else None,
        mode=RESAMPLING[config["resample"]],
        scale=config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0,
        mean=tuple(map(float, config["image_mean"])) if normalised else (0.0, 0.0, 0.0),
        deviation=tuple(map(float, config["image_std"])) if normalised else (1.0, 1.0, 1.0),
    )


def _parse_sides(size: Any) -> Sides:
    """Height and width from any of their notations: 224, [224, 224] or {"height": 224, "width": 224}."""
    if isinstance(size, int):
        return size, size
    height, width = (size["height"], size["width"]) if isinstance(size, dict) else size
    return int(height), int(width)


class CLIP(CaptionNetwork):
    """The mean unit vector of the frames of a clip, which ignores their order.

    Its dot product with the unit vector of a caption is the mean cosine over frames, the text-video similarity of
    Wu et al. 2021 (GODIVA), arXiv:2104.14806.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._network = _open_network(folder, "clip", "CLIP", device)
        self._preprocessor = read_preprocessor(folder, _parse_sides(self._network.config.vision_config.image_size))
        self._tokenizer = _open_tokenizer(folder, self._network.config.text_config.vocab_size)
        super().__init__(folder, digest_network(folder), device)

    def find_obstacle(self, frames: int) -> str:  # noqa: ARG002  any number will do
        return ""

    def extract(self, clips: Tensor) -> Tensor:
        x = self._preprocessor.prepare(clips).to(self.device)
        vectors = self._network.get_image_features(pixel_values=x.flatten(0, 1)).pooler_output  # [B*T,E]
        return F.normalize(vectors, dim=1).view(*clips.shape[:2], -1).mean(dim=1)

    def embed_captions(self, texts: Sequence[str]) -> Tensor:
        most = self._network.config.text_config.max_position_embeddings
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, max_length=most, return_tensors="pt")
        with torch.inference_mode():
            vectors = self._network.get_text_features(**tokens.to(self.device)).pooler_output
        return F.normalize(vectors, dim=1).cpu().double()


def _open_tokenizer(folder: Path, words: int) -> Any:
    try:
        tokenizer = _import_library().AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder}: its tokenizer cannot be read ({describe_fault(error)}); fetch it again") from None
    if len(tokenizer) > words:
        raise UserError(f"{folder}: its tokenizer has {len(tokenizer)} tokens, its network {words}; fetch both again")
    return tokenizer


class VideoMAE(Network):
    """Tong et al. 2022, arXiv:2203.12602. It has absolute temporal positions: longer clips are subsampled."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._network = _open_network(folder, "videomae", "VideoMAE", device)
        self._preprocessor = read_preprocessor(folder, _parse_sides(self._network.config.image_size))
        super().__init__(folder, digest_network(folder), device)

    def find_obstacle(self, frames: int) -> str:
        needed = self._network.config.num_frames
        return f"clips of {frames} frames, this VideoMAE needs {needed}" if frames < needed else ""

    def extract(self, clips: Tensor) -> Tensor:
        x = self._preprocessor.prepare(_select_frames(clips, self._network.config.num_frames)).to(self.device)
        return _pooled(self._network(pixel_values=x))


class VJEPA2(Network):
    """Assran et al. 2025, arXiv:2506.09985. It has relative temporal positions: shorter clips need no padding."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._network = _open_network(folder, "vjepa2", "VJEPA2", device)
        self._preprocessor = read_preprocessor(folder, _parse_sides(self._network.config.crop_size))
        super().__init__(folder, digest_network(folder), device)

    def find_obstacle(self, frames: int) -> str:
        needed = self._network.config.tubelet_size
        return f"clips of {frames} frames, V-JEPA 2 needs {needed}" if frames < needed else ""

    def extract(self, clips: Tensor) -> Tensor:
        config = self._network.config
        count = min(clips.shape[1], config.frames_per_clip) // config.tubelet_size * config.tubelet_size
        x = self._preprocessor.prepare(_select_frames(clips, count)).to(self.device)
        # Else the bare network would also run its predictor of masked patches, and nothing is masked.
        bare = {} if hasattr(self._network, "classifier") else {"skip_predictor": True}
        return _pooled(self._network(pixel_values_videos=x, **bare))


def _pooled(output: Any) -> Tensor:
    features: Tensor = output.logits if hasattr(output, "logits") else output.last_hidden_state.mean(dim=1)
    return features


NetworkName = Literal["i3d", "videomae", "vjepa2", "clip"]
NETWORK_PATHS: dict[NetworkName, str] = {
    "i3d": "i3d_torchscript.pt",
    "videomae": "videomae",
    "vjepa2": "vjepa2",
    "clip": "clip",
}
NETWORKS: dict[NetworkName, type[I3D | VideoMAE | VJEPA2 | CLIP]] = {
    "i3d": I3D,
    "videomae": VideoMAE,
    "vjepa2": VJEPA2,
    "clip": CLIP,
}
LIBRARY_PARTS: dict[NetworkName, tuple[str, ...]] = {
    "i3d": (),
    "videomae": ("VideoMAEModel",),
    "vjepa2": ("VJEPA2Model",),
    "clip": ("CLIPModel", "AutoTokenizer"),
}
