"""Files of pretrained networks as others publish them, but tiny and with random weights; and stand-ins for them."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.pretrained.networks import CLIP, Network

CPU = torch.device("cpu")
SIDE = 32  # of the frames that the tiny networks take
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class TinyI3D(nn.Module):
    """The call of i3d_torchscript.pt: clips [B,3,T,H,W] in 0..255 -> [B,400], with its three switches."""

    def __init__(self, features: int = 400) -> None:
        super().__init__()
        self.look = nn.Conv3d(3, features, 2)

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        x = x.float()
        if resize:
            x = nn.functional.interpolate(x, size=[x.shape[2], 224, 224], mode="trilinear", align_corners=False)
        if rescale:
            x = 2 * x / 255 - 1
        x = self.look(nn.functional.avg_pool3d(x, (2, 56, 56))).mean(dim=(2, 3, 4))
        return x if return_features else x.softmax(dim=1)


def write_i3d(path: Path, network: nn.Module | None = None) -> Path:
    """A TorchScript file."""
    torch.manual_seed(1)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.script(network or TinyI3D()).save(str(path))
    return path


def transformers():
    """The library; the test is skipped where it is not installed."""
    library = pytest.importorskip("transformers", reason="needs the extra `pretrained`")
    library.utils.logging.disable_progress_bar()
    torch.manual_seed(1)
    return library


def write_videomae(folder: Path, *, classifies: bool = True, **values: object) -> Path:
    """VideoMAE for clips of 4 frames, as a classifier or as it was pretrained."""
    library = transformers()
    shape = {"image_size": SIDE, "num_frames": 4, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    small = {"intermediate_size": 16, "decoder_hidden_size": 8, "decoder_num_attention_heads": 2}
    config = library.VideoMAEConfig(
        **{**shape, **small, "decoder_num_hidden_layers": 1, "decoder_intermediate_size": 8, **values},
        use_mean_pooling=classifies,
    )
    kind = library.VideoMAEForVideoClassification if classifies else library.VideoMAEForPreTraining
    kind(config).save_pretrained(folder)
    return write_pixels(folder)


def write_vjepa2(folder: Path, *, classifies: bool = False) -> Path:
    """V-JEPA 2 that learned from clips of 8 frames."""
    library = transformers()
    shape = {"crop_size": SIDE, "frames_per_clip": 8, "hidden_size": 24, "num_attention_heads": 2}
    guess = {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
    config = library.VJEPA2Config(**shape, **guess, num_hidden_layers=1, mlp_ratio=1.0, num_pooler_layers=1)
    (library.VJEPA2ForVideoClassification if classifies else library.VJEPA2Model)(config).save_pretrained(folder)
    return write_pixels(folder)


def write_clip(folder: Path) -> Path:
    """CLIP that reads letters."""
    library = transformers()
    marks = ("<|startoftext|>", "<|endoftext|>")
    words = {word: row for row, word in enumerate([*marks, *LETTERS, *(f"{letter}</w>" for letter in LETTERS)])}
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = library.CLIPConfig(
        text_config={**small, **ends, "vocab_size": len(words), "max_position_embeddings": 24},
        vision_config={**small, "image_size": SIDE, "patch_size": 16},
        projection_dim=12,
    )
    library.CLIPModel(config).save_pretrained(folder)
    library.CLIPTokenizer(vocab=words, merges=[]).save_pretrained(folder)
    return write_pixels(folder, "clip")


def write_pixels(folder: Path, kind: str = "videomae") -> Path:
    """What says how frames are resized, as the library writes it."""
    processor_of(kind)(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def processor_of(kind: str):
    """The library's own way to resize frames, by Pillow: the one that needs no torchvision."""
    transformers()
    if kind == "clip":
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        return CLIPImageProcessorPil
    from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

    return VideoMAEImageProcessorPil


class StandIn(Network):
    """Describes a clip by its first values, and remembers how many clips it was shown."""

    def __init__(self, width=5):
        super().__init__(Path("stand-in"), "digest", CPU)
        self.width, self.seen = width, Counter()

    def find_obstacle(self, frames):
        return f"clips of {frames} frames, 2 are needed" if frames < 2 else ""

    def extract(self, clips):
        self.seen["clips"] += len(clips)
        return clips.flatten(1)[:, : self.width].float()


class Reader(CLIP):
    """A clip shows the thing whose number is its first value; captions name theirs."""

    def __init__(self):
        Network.__init__(self, Path("reader"), "digest", CPU)

    def extract(self, clips):
        return torch.nn.functional.one_hot(clips.flatten(1)[:, 0].long() % 12, 12).float()

    @staticmethod
    def named(text):
        word = text.split()[1]
        return (int(word) if word.isdigit() else len(word)) % 12

    def embed_captions(self, texts):
        return torch.nn.functional.one_hot(torch.tensor([self.named(text) for text in texts]), 12).double()
