"""Runs as stages leave them on disk, small, and their pages read as a browser would."""

import base64
import csv
import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from training_sets import H, T, W, moving_square, tiny_clips, write_data

from pipeline.files import write_json
from pipeline.page.run import Run, RunFolders
from pipeline.params import ReportParams
from pipeline.records import DROPS, Clip, Drop, Frames
from pipeline.rendering import Block, Row, Window, build_row
from pipeline.rendering.export import export_samples
from pipeline.tables import write_report, write_table

OPTIONS = ReportParams(captions=24, clips=3)
SHARE = {"value": 0.8, "low": 0.7, "high": 0.9, "clips": 100, "reason": ""}
ONE = {"value": 1.0, "low": 1.0, "high": 1.0, "clips": 60, "reason": ""}
WITHDRAWN = {
    "value": None,
    "low": None,
    "high": None,
    "clips": 0,
    "reason": "withdrawn: it failed a check on planted controls",
}
ABSENT = {"value": None, "low": None, "high": None, "clips": 3, "reason": "3 clips, needed: 10"}
FIGURES = {
    "joint_accuracy": SHARE,
    "joint_accuracy_ceiling": ONE,
    "mmd": WITHDRAWN,
    "recall": ABSENT,
    "users_own": SHARE,
}
TABLE = [
    {"set": "model", "metric": "joint_accuracy", "value": "0.8", "scaled": "0.75", "clips": "100"},
    {"set": "real test", "metric": "joint_accuracy", "value": "1", "scaled": "1", "clips": "60"},
    {"set": "shuffled captions", "metric": "joint_accuracy", "value": "0.2", "scaled": "0", "clips": "60"},
]


def build_run(folder: Path, name: str = "a run", things: tuple[str, ...] = ("book", "mug"), **settings: Any) -> Run:
    """A run with data, a log of its training, an evaluation and samples, whose figures are FIGURES."""
    write_labels(folder)
    write_training(folder / "model")
    write_evaluation(folder / "evaluation")
    write_samples(folder / "samples", things)
    return Run(name, RunFolders.within(folder), settings)


def write_labels(folder: Path, made: list[tuple[Clip, Frames]] | None = None, drops: list[Drop] | None = None) -> None:
    """Data as the first three stages write it; `drops` are of the stage `filter`."""
    made = tiny_clips() if made is None else made
    drops = [Drop("77", "other_category", "pulling")] if drops is None else drops
    write_data(folder, made)
    write_table(folder / "labels" / DROPS, Drop, drops)
    counts = {"splits": {"train": len(made)}, "categories": {"up": {}}, "objects": {"mug": 1}}
    write_report(folder / "labels/report.json", read=len(made) + len(drops), kept=len(made), drops=drops, **counts)
    write_report(folder / "clips/report.json", read=len(made), kept=len(made), drops=[])
    write_report(folder / "captions/report.json", read=len(made), kept=len(made), drops=[], words=9)


def write_training(folder: Path) -> None:
    """The description of a model and the log of its training."""
    train = {"method": "gan", "generator": {"kind": "residual"}}
    clip = {"frames": T, "height": H, "width": W}
    write_json(folder / "model.json", {"clips": 64, "seed": 17, "train": train, "clip": clip})
    write_json(folder / "training.json", {"clips": 64.0, "val_discrepancy": 0.5})
    lines = [{"clips": clips, "loss_generator": 3 - clips / 64, "loss_discriminator": 0.5} for clips in (16, 32, 64)]
    write_csv(folder / "history.csv", lines)
    write_csv(folder / "validation.csv", [{"clips": 32, "discrepancy": 2.5}, {"clips": 64, "discrepancy": 0.5}])


def write_evaluation(folder: Path, figures: dict[str, Any] | None = None) -> None:
    """The files of an evaluation."""
    write_json(folder / "intervals.json", FIGURES if figures is None else figures)
    write_json(folder / "protocol.json", {"samples": 100, "real_test": 60, "withdrawn": ["mmd"]})
    write_csv(folder / "table.csv", TABLE)
    control = {"control": "mean clip", "demand": "above 0.1", "found": "0.01", "note": ""}
    rows = [{"metric": "mmd", "passed": "no", **control}, {"metric": "joint_accuracy", "passed": "yes", **control}]
    write_csv(folder / "controls.csv", rows)
    clip = moving_square("mug", "from left to right", 0)
    pictures = {"nearest": "pixels: 0.50 of the limit", "worst": "generated 1, wrong", "opposites": "the other way"}
    for name, heading in pictures.items():
        rows = [build_row(f"{name} of a mug", {"generated": clip, heading: clip[::-1]})]
        export_samples(rows, folder / f"{name}.npz", scale=1, fps=1, provenance={})


def write_samples(folder: Path, things: tuple[str, ...], seeds: tuple[int, ...] = (1, 2)) -> None:
    """A grid of samples, its clips told apart by their start."""
    blocks = [(f"generated, seed {seed}", seed) for seed in seeds] + [("real", 0)]
    row = Row(
        "Pushing [something] from left to right",
        [
            Block(title, [Window(thing, moving_square("mug", "from left to right", start)) for thing in things])
            for title, start in blocks
        ],
    )
    export_samples([row], folder / "grid.npz", scale=1, fps=1, provenance={})


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """A table by the columns of its first row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [*rows[0]], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


class ParsedPage(HTMLParser):
    """The elements of a page with their attributes, its scripts and styles, and the text that a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []  # that run
        self.styles: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "style" or (tag == "script" and "type" not in dict(attrs)):
            self._inside = tag
            (self.styles if tag == "style" else self.scripts).append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside == "style":
            self.styles[-1] += data
        else:
            self.text += data

    def attributes(self, name: str) -> list[str]:
        """The values of an attribute, of all elements that have it."""
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]

    def sources(self, directive: str) -> list[str]:
        """What the page's policy allows under a directive."""
        (policy,) = [one["content"] for tag, one in self.elements if tag == "meta" and "http-equiv" in one]
        parts = [part.split() for part in str(policy).split(";")]
        return next((sources for name, *sources in parts if name == directive), [])


def read_strip(source: str) -> np.ndarray[Any, Any]:
    """The frames of a clip in a page [T*H,W,3]."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB"))
