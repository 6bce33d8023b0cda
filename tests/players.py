"""Small generators as they are saved, and the scripts of the page run by node."""

import json
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import stir
from numpy.typing import NDArray
from safetensors.torch import save_file
from settings import clip_shape
from torch import nn
from training_sets import tiny_params

from pipeline.data.sampler import draw_noise
from pipeline.directions import DirectionRules
from pipeline.inference import Model, sample, save_model
from pipeline.models.networks import TextToVideo
from pipeline.page.widgets import WORKER, Widget, build_player, read_scripts, read_source
from pipeline.records import VECTORS, Frames
from pipeline.text.vocabulary import Vocabulary

WORDS = ("<pad>", "<unk>", "from", "to", "left", "right", "pushing", "a", "mug", "rubber", "duck")
ACTIONS = ("pushing * from left to right", "pushing * from right to left")
CAPTIONS = ("pushing a mug from left to right", "pushing a rubber duck from right to left")
IDS = [(6, 7, 8, 2, 4, 3, 5), (6, 7, 9, 10, 2, 5, 3, 4), (8,)]

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="no node to run the scripts of a page with")


def save_generator(
    folder: Path,
    size: tuple[int, int, int] = (4, 16, 16),
    vectors: torch.Tensor | None = None,
    first_object: int = 8,
    **train: Any,
) -> Path:
    """A generator of random weights, small, every path of which counts; `vectors` are of all words, the last of
    which was not trained on. Words from `first_object` on name objects."""
    shape, params = clip_shape(*size), tiny_params(**train).train
    folder.mkdir(parents=True, exist_ok=True)
    learned = len(WORDS)
    if vectors is not None:
        learned -= 1
        save_file({"vectors": vectors}, folder / VECTORS)
    torch.manual_seed(3)
    network = stir(TextToVideo(shape, params, learned, vectors, torch.arange(learned) >= first_object), 0.1)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.Embedding):
                part.weight[part.padding_idx].zero_()  # as training leaves it
    described = {
        "clip": shape.model_dump(),
        "train": params.model_dump(),
        "vocabulary": asdict(Vocabulary(WORDS, unlearned=len(WORDS) - learned, actions=ACTIONS)),
        "max_tokens": 12,
    }
    save_model(folder, network.eval(), None, described)
    return folder


def make_player(folder: Path) -> Widget:
    """The player of a saved generator."""
    return build_player(folder, CAPTIONS, DirectionRules(), 8)


def read_element(player: Widget, name: str) -> str:
    """The text of one of a player's elements of data."""
    return player.data.split(f'<script id="player-{name}"', 1)[1].split(">", 1)[1].split("</script>", 1)[0].strip()


def draw_in_node(player: Widget, scenes: list[dict[str, Any]], before: str = "") -> Frames:
    """What the worker of the page answers to scenes: uint8 [N,T,H,W,3]. Raises AssertionError with what it says."""
    given = {
        "description": json.loads(read_element(player, "model")),
        "weights": read_element(player, "weights"),
        "scenes": scenes,
    }
    replies = run_in_node(
        f"""
        const {{ description, weights, scenes }} = JSON.parse(require("fs").readFileSync(0, "utf8"));
        globalThis.onmessage = null;
        const replies = [];
        globalThis.postMessage = (reply) => replies.push({{ ...reply, frames: Array.from(reply.frames ?? []) }});
        {before}
        {read_scripts(WORKER)}
        (async () => {{
          await onmessage({{ data: {{ description, weights }} }});
          for (const scene of scenes) await onmessage({{ data: {{ number: 1, scene }} }});
          console.log(JSON.stringify(replies));
        }})();
        """,
        json.dumps(given),
    )
    assert [reply["error"] for reply in replies if reply.get("error")] == []
    clip = given["description"]["clip"]
    return np.array([reply["frames"] for reply in replies[1:]], np.uint8).reshape(
        len(scenes), clip["frames"], clip["height"], clip["width"], 3
    )


def draw_in_torch(folder: Path, scenes: list[dict[str, Any]]) -> Frames:
    """The same clips by the network itself."""
    model = Model(folder)
    return np.concatenate(
        [sample(model, [scene["ids"]], draw_noise(scene["seed"], 1, model.generator.z_width)) for scene in scenes]
    )


def measure_difference(one: Frames, other: Frames) -> int:
    """The largest, in grey levels."""
    assert one.shape == other.shape
    difference: NDArray[np.int64] = np.abs(one.astype(np.int64) - other)
    return int(difference.max())


def run_script(names: tuple[str, ...], code: str, given: Any) -> Any:
    """What `code` makes of `given`, in the scope of some of the scripts."""
    scripts = "\n".join(read_source(f"{name}.js") for name in names)
    start = 'const given = JSON.parse(require("fs").readFileSync(0, "utf8"));'
    return run_in_node(f"{start}\n{scripts}\nconsole.log(JSON.stringify((() => {{ {code} }})()));", json.dumps(given))


def run_in_node(code: str, given: str) -> Any:
    """What a script prints as JSON, which reads `given` from its standard input."""
    done = subprocess.run(["node", "-e", code], input=given, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
