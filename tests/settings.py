"""Sections of params.yaml with a few values changed, so that a new key does not touch every test."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from locations import ROOT

from pipeline.errors import UserError
from pipeline.params import (
    ClipParams,
    DatasetParams,
    FilterParams,
    Params,
    TokenizeParams,
    TranscodeParams,
    check_params,
)

TREE = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def changed(changes: dict[str, dict[str, Any]]) -> Params:
    """The shipped params with values of some sections replaced."""
    return check_params({**TREE, **{name: {**TREE[name], **values} for name, values in changes.items()}}, "the test")


def complaint(tree: Any) -> str:
    """The message with which `tree` is refused."""
    with pytest.raises(UserError) as caught:
        check_params(tree, "params.yaml")
    return str(caught.value)


def reading(kind: str, labels: Path | str = "labels", **columns: str | int | None) -> DatasetParams:
    """The section `dataset` with a format and some of its columns; the videos lie beside the labels, or are them."""
    videos = labels if kind == "folders" else Path(labels).with_name("videos")
    merged = {**TREE["dataset"]["columns"], **columns}
    return changed(
        {"dataset": {"format": kind, "labels": str(labels), "videos": str(videos), "columns": merged}}
    ).dataset


def clip_shape(frames: int, height: int, width: int, **window: Any) -> ClipParams:
    """A clip's shape; the window is the whole video where nothing else is said. May be one no network can make."""
    return ClipParams(**{**TREE["clip"], "frames": frames, "height": height, "width": width, **window})


def filtering(**values: Any) -> FilterParams:
    """The section `filter`; nothing is held out where nothing is said."""
    return changed({"filter": {"test_pairs": 0.0, "test_words": [], **values}}).filter


def transcoding(**values: Any) -> TranscodeParams:
    """The section `transcode`."""
    return changed({"transcode": values}).transcode


def tokenizing(**values: Any) -> TokenizeParams:
    """The section `tokenize`."""
    return changed({"tokenize": values}).tokenize
