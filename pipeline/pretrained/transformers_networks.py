"""CLIP, VideoMAE and V-JEPA 2: clips, pictures and texts -> features."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.errors import UserError, first_line
from pipeline.pretrained.network import Network, spread
from pipeline.pretrained.transformers_folders import both, digest_folder, library, open_network, read_pixels

TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))


class CLIP(Network):
    """Describes a clip by the mean over its frames of their unit vectors; it knows no order of frames.

    So the product with the unit vector of a caption is the mean of the frames' cosines, as Wu et al. 2021 (GODIVA),
    arXiv:2104.14806, measure how a video fits a text.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._network = open_network(folder, "clip", "CLIP", device)
        self._pixels = read_pixels(folder, both(self._network.config.vision_config.image_size))
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
        tokenizer = library().AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder}: its tokenizer cannot be read ({first_line(error)}); fetch it again") from None
    if len(tokenizer) > words:
        raise UserError(f"{folder}: its tokenizer has {len(tokenizer)} tokens, its network {words}; fetch both anew")
    return tokenizer


class VideoMAE(Network):
    """Tong et al. 2022, arXiv:2203.12602. Its places in time are fixed: longer clips are thinned out."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._network = open_network(folder, "videomae", "VideoMAE", device)
        self._pixels = read_pixels(folder, both(self._network.config.image_size))
        super().__init__(folder, digest_folder(folder), device)

    def find_obstacle(self, frames: int) -> str:
        needed = self._network.config.num_frames
        return f"clips of {frames} frames, this VideoMAE needs {needed}" if frames < needed else ""

    def extract(self, clips: Tensor) -> Tensor:
        x = self._pixels.prepare(spread(clips, self._network.config.num_frames)).to(self.device)
        return _pooled(self._network(pixel_values=x))


class VJEPA2(Network):
    """Assran et al. 2025, arXiv:2506.09985. Its places in time are relative: shorter clips are seen as they are."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._network = open_network(folder, "vjepa2", "VJEPA2", device)
        self._pixels = read_pixels(folder, both(self._network.config.crop_size))
        super().__init__(folder, digest_folder(folder), device)

    def find_obstacle(self, frames: int) -> str:
        needed = self._network.config.tubelet_size
        return f"clips of {frames} frames, V-JEPA 2 needs {needed}" if frames < needed else ""

    def extract(self, clips: Tensor) -> Tensor:
        config = self._network.config
        count = min(clips.shape[1], config.frames_per_clip) // config.tubelet_size * config.tubelet_size
        x = self._pixels.prepare(spread(clips, count)).to(self.device)
        # Without the switch the bare network would go on to guess what is masked, of which there is nothing.
        bare = {} if hasattr(self._network, "classifier") else {"skip_predictor": True}
        return _pooled(self._network(pixel_values_videos=x, **bare))


def _pooled(output: Any) -> Tensor:
    features: Tensor = output.logits if hasattr(output, "logits") else output.last_hidden_state.mean(dim=1)
    return features
