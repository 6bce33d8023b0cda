"""Tiny sets to train on: a square that crosses the picture to the right or to the left, drawn without a video file."""

import copy
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from made import make_caption, make_clip
from projects import ROOT, TINY, merged

from pipeline.data.dataset import DataFolders, Dataset, TrainingSplit
from pipeline.directions import DirectionRules
from pipeline.files import write_json
from pipeline.params import Params, check_params
from pipeline.records import DIRECTION_RULES, Caption, Clip, Frames, Split
from pipeline.shards import write_index, write_shard
from pipeline.tables import write_table
from pipeline.text.vocabulary import PAD_TOKEN, UNKNOWN_TOKEN, Vocabulary, write_vocabulary

torch.set_num_threads(1)  # tiny networks gain nothing from a second core, which others may need

T, H, W = 8, 16, 16
RIGHT, LEFT = "from left to right", "from right to left"
COLOURS = {"book": (230, 40, 40), "mug": (40, 200, 60), "pen": (60, 80, 230)}
CPU = torch.device("cpu")
NEEDS: dict[str, Any] = {}  # of memory, by training
SHORT = {"total_clips": 64, "batch_clips": 8, "ema_clips": 16, "captions": {"width": 8}}
SHORT |= {"report_clips": 16}
TEN_STEPS = {"total_clips": 80, "report_clips": 24, "penalty_every": 3}
WIDTHS = {"content_width": 8, "motion_width": 8, "code_width": 8, "frame_width": 8}
CONVGRU = {"kind": "convgru", **WIDTHS, "frame_memory": True, "caption_in_blocks": True, "batch_norm": True}
UNET = {"kind": "unet", "width": 8, "code_width": 8, "blocks": 1, "patch": 2, "frame_patch": 2}
FLOW: dict[str, Any] = {"method": "flow", "generator": UNET}
OTHER_KINDS = {"convgru": CONVGRU, "unet": UNET}
FILES = (
    "generator.safetensors",
    "discriminator.safetensors",
    "history.csv",
    "validation.csv",
    "training.json",
    "model.json",
    "provenance.json",
)


def tiny_params(**train: Any) -> Params:
    """params.yaml with small networks, a short run, and `train` in place of its own values."""
    tree = copy.deepcopy(shipped_tree())
    kind = train.get("generator", {}).get("kind")
    if kind in OTHER_KINDS:
        tree["train"]["generator"] = OTHER_KINDS[kind]
    if kind == "unet":
        tree["train"]["method"] = "flow"
    for network in ("generator", "discriminator"):
        tree["train"][network] = {key: shrunk(key, value) for key, value in tree["train"][network].items()}
    tree["train"]["discriminator"]["frame_stride"] = 1
    return check_params(merged(tree, TINY | {"devices": "cpu", "train": SHORT | train}), "tiny params")


@functools.cache
def shipped_tree() -> dict[str, Any]:
    """The parsed params.yaml; to change it, copy it."""
    tree: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return tree


def shrunk(key: str, value: Any) -> Any:
    """Widths of at most 8; all else of a network stays as it is."""
    return min(value, 8) if key.endswith("width") else value


def moving_square(thing: str, direction: str, start: int) -> Frames:
    """A square in the colour of `thing` on grey: uint8 [T,H,W,3]."""
    frames = np.full((T, H, W, 3), 128, np.uint8)
    for time in range(T):
        left = time if direction == RIGHT else W - 4 - time
        frames[time, 4 + start : 8 + start, left : left + 4] = COLOURS[thing]
    return frames


def tiny_clips(count: int = 24, split: Split = "train", val: int = 2) -> list[tuple[Clip, Frames]]:
    """`count` clips that go through all things in both directions; the last `val` belong to that split."""
    made = []
    for number in range(count):
        thing, direction = list(COLOURS)[number % 3], (RIGHT, LEFT)[number // 3 % 2]
        name = f"{number:03}"
        clip = make_clip(
            name,
            f"pushing a {thing} {direction}",
            "val" if number >= count - val else split,
            f"Pushing [something] {direction}",
            (thing,),
            original=f"Pushing a {thing} {direction}",
        )
        made.append((clip, moving_square(thing, direction, number % 5)))
    return made


def tokenize_clip(clip: Clip, token_ids: tuple[int, ...]) -> Caption:
    """The clip's caption, whose objects are single words."""
    slots = tuple(int(token in clip.objects) for token in clip.caption.split())
    return make_caption(clip.caption, token_ids, slots, clip.id)


def write_data(folder: Path, made: list[tuple[Clip, Frames]] | None = None) -> Path:
    """Lay clips out in `folder` as `filter`, `transcode` and `tokenize` would, and return it."""
    made = tiny_clips() if made is None else made
    words = (PAD_TOKEN, UNKNOWN_TOKEN, *sorted({word for clip, _ in made for word in clip.caption.split()}))
    vocabulary = Vocabulary(words)
    tokens = {clip.id: tuple(clip.caption.split()) for clip, _ in made}
    captions = [tokenize_clip(clip, vocabulary.encode(tokens[clip.id])) for clip, _ in made]
    write_table(folder / "labels" / "clips.parquet", Clip, [clip for clip, _ in made])
    write_json(folder / "labels" / DIRECTION_RULES, DirectionRules().as_data())
    write_table(folder / "captions" / "captions.parquet", Caption, captions)
    write_vocabulary(folder / "captions" / "vocabulary.json", vocabulary)
    shard = write_shard(folder / "clips" / "00000.parquet", [(clip.id, clip.caption, frames) for clip, frames in made])
    write_index(folder / "clips", (T, H, W), [shard])
    return folder


def open_dataset(folder: Path) -> Dataset:
    """What `write_data` has laid out in `folder`."""
    return Dataset(DataFolders(folder / "labels", folder / "clips", folder / "captions"))


def tiny_set(folder: Path, made: list[tuple[Clip, Frames]] | None = None) -> TrainingSplit:
    """The train split of `write_data` as training sees it, on the CPU."""
    return TrainingSplit(open_dataset(write_data(folder, made)), "train", CPU)


def write_project(folder: Path, **train: Any) -> Path:
    """A folder in which the stages `train` and `render` can run: tiny params and data."""
    params = tiny_params(**train)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump(), sort_keys=False), encoding="utf-8")
    write_data(folder / "data")
    return folder


def train_project(folder: Path, **train: Any) -> Path:
    """`write_project` after an uninterrupted run of the stage `train` on one CPU process."""
    from stages.train_model import main

    write_project(folder, **train)
    with pytest.MonkeyPatch.context() as patch, contextmanager(remember_needs)():
        patch.delenv("T2V_DEVICES", raising=False)
        patch.chdir(folder)
        main()
    return folder


def remember_needs() -> Iterator[None]:
    """For many trainings alike: how much memory one needs is counted once a process, which takes as long as 7 steps."""
    from pipeline import planning

    count = planning.dry_run_steps

    def recall(task: Any, *, penalise: bool) -> Any:
        key = f"{task} {penalise}"  # of vectors it shows too little to tell them apart
        if task.vectors is not None or key not in NEEDS:
            NEEDS[key] = count(task, penalise=penalise)
        return NEEDS[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "dry_run_steps", recall)
        yield


def outputs(folder: Path) -> dict[str, bytes]:
    """The bytes of every file that `train` writes, but for the one that tells of the machine."""
    return {name: (folder / "data/model" / name).read_bytes() for name in FILES if name != "provenance.json"}


def find_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of all runs in the project."""
    return sorted((folder / ".dvc/tmp/state").glob("*/*.pt"))
