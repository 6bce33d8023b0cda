"""How large the generator in a page is, how soon it is ready and how fast it draws: writes bench/page.json.

`python -m bench.page --model data/model`, beside which the clips lie. The page is opened from a file in headless
Chromium, which Playwright drives. A clip's time is that of the worker, and torch's that of one thread of the same
machine, by the clock: the best of each counts, since others may be using the machine.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from playwright.sync_api import sync_playwright

from bench.measuring import ROOT, describe_machine
from bench.table import Measure, collect_figures, print_measures
from pipeline.data.dataset import DataFolders
from pipeline.data.sampler import draw_noise
from pipeline.directions.table import Directions
from pipeline.files import write_json
from pipeline.inference import Model, sample
from pipeline.page.blind_test import build_blind_test
from pipeline.page.inset import Inset
from pipeline.page.player import build_player

LOADS, CLIPS = 3, 20
DRAW = "() => { const form = document.getElementById('player-form'); form.requestSubmit(); }"
DRAWN = "drawn => document.getElementById('player-canvas').dataset.drawn !== drawn"


def measure_page(model_folder: Path, chromium: str) -> list[Measure]:
    """The table's lines."""
    caption = " ".join(Model(model_folder).vocabulary[2:6])
    player = build_player(model_folder, [caption], Directions(), 8)
    page = write_page(player)
    ready, clips = _open_page(page, chromium)
    own = _time_torch(model_folder)
    data = model_folder.parent
    pairs = build_blind_test(DataFolders(data / "labels", data / "clips", data / "captions"), model_folder, 0, 8)
    return [
        Measure("page_megabytes", "a page of the generator alone", "under 5", len(page) / 1e6),
        Measure("blind_test_megabytes", "what the blind test adds to a page", "", len(pairs.data) / 1e6),
        Measure("ready_seconds", "opened until the first clip is seen, Chromium", "under 2", *_best(ready)),
        Measure("clip_milliseconds", "a clip in the page, one thread", "under 500", *_best(clips)),
        Measure("torch_milliseconds", "a clip in torch, one thread", "", *_best(own)),
        Measure("times_torch", "a clip in the page, to torch", "at most 4", min(clips) / min(own)),
    ]


def write_page(player: Inset) -> str:
    """The smallest page that holds a player."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Player</title><style>{player.style}</style>'
        f"<body>{player.html}{player.data}<script>{player.script}</script></body></html>"
    )


def _open_page(text: str, chromium: str) -> tuple[list[float], list[float]]:
    """Seconds until ready, load by load, and milliseconds of clips."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        path.write_text(text, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        ready = []
        for _ in range(LOADS):
            page = browser.new_page()
            start = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_selector("#player-canvas[data-drawn]", timeout=60_000)
            ready.append(time.perf_counter() - start)
        clips = [_draw_again(page) for _ in range(CLIPS)]
        browser.close()
    return ready, clips


def _draw_again(page: Any) -> float:
    """Milliseconds that the worker of a page takes for one more clip."""
    canvas = page.locator("#player-canvas")
    before = canvas.get_attribute("data-drawn")
    page.evaluate(DRAW)
    page.wait_for_function(DRAWN, arg=before)
    return float(canvas.get_attribute("data-milliseconds"))


def _time_torch(model_folder: Path) -> list[float]:
    """Milliseconds of clips, on one thread."""
    torch.set_num_threads(1)
    model = Model(model_folder)
    times = []
    for seed in range(CLIPS):
        z = draw_noise(seed, 1, model.generator.z_width)
        start = time.perf_counter()
        sample(model, [(2, 3, 4, 5)], z)
        times.append(1000 * (time.perf_counter() - start))
    return times


def _best(values: list[float]) -> tuple[float, float]:
    return min(values), sorted(values)[len(values) // 2]


def main(
    model: Annotated[Path, typer.Option(help="folder of a trained model")] = Path("data/model"),
    chromium: Annotated[str, typer.Option(help="the browser")] = "/usr/bin/chromium",
    out: Annotated[Path, typer.Option("-o", "--out")] = ROOT / "bench/page.json",
) -> None:
    """Measure, print the table and write the figures."""
    measures = measure_page(model, chromium)
    print_measures(measures)
    write_json(out, {**collect_figures(measures), "machine": describe_machine()})


if __name__ == "__main__":
    typer.run(main)
