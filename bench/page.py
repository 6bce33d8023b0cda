"""How large the generator in a page is, how soon it is ready and how fast it draws: writes bench/page.json.

`python -m bench.page --model data/model`, beside which the clips and the report lie: `dvc repro` first. Pages are
opened from files in headless Chromium, which Playwright drives. Larger clips are those of recipes whose generators have
random weights, since weights do not change the time. Loads are timed by the clock, and by the CPU time of the whole
browser, which is what counts where others use the machine. A clip's time is the CPU time of the worker, and torch's
that of one thread of the same machine, a clip of each in turn. The best of each counts.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psutil
import torch
import typer
from playwright.sync_api import sync_playwright

from bench.measuring import ROOT, describe_machine
from bench.table import Measure, collect_figures, print_measures
from pipeline.cli.recipe import load_recipe
from pipeline.data.dataset import DataFolders
from pipeline.data.sampler import draw_noise
from pipeline.directions import Directions
from pipeline.files import write_json
from pipeline.inference import Model, sample, save_model
from pipeline.models.networks import TextToVideo
from pipeline.page.blind_test import build_blind_test
from pipeline.page.inset import Inset
from pipeline.page.player import build_player
from pipeline.text.vocabulary import PAD_TOKEN, UNKNOWN_TOKEN

LOADS, CLIPS = 3, 15
UNTRAINED = {64: "ssv2-64", 128: "ssv2-128"}  # side of a clip -> recipe
WORDS = [PAD_TOKEN, UNKNOWN_TOKEN, "a", "from", "left", "mug", "pushing", "right", "the", "to"]
DRAW = "() => { const form = document.getElementById('player-form'); form.requestSubmit(); }"
DRAWN = "drawn => document.getElementById('player-canvas').dataset.drawn !== drawn"
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"


@dataclass(frozen=True, slots=True)
class Loads:
    """Seconds from opening a page, load by load, until something is seen and until the first clip is, and CPU time."""

    painted: list[float]
    ready: list[float]
    used: list[float]


def measure_page(model_folder: Path, chromium: str) -> list[Measure]:
    """The table's lines."""
    data = model_folder.parent
    report = data / "report/index.html"
    folders = DataFolders(data / "labels", data / "clips", data / "captions")
    pairs = build_blind_test(folders, model_folder, 0, 8)
    with tempfile.TemporaryDirectory() as scratch, _open_browser(chromium) as browser:
        loads = time_loads(report, browser)
        lines = [
            Measure("report_megabytes", "the report with the generator in it", "under 5", _megabytes(report)),
            Measure("blind_test_megabytes", "of it the blind test", "", len(pairs.data) / 1e6),
            Measure("painted_seconds", "the report opened until something is seen", "under 1", *_best(loads.painted)),
            Measure("ready_seconds", "the report opened until the first clip", "under 2", *_best(loads.ready)),
            Measure("ready_cpu_seconds", "CPU time of the browser until then", "", *_best(loads.used)),
            *measure_generator(model_folder, "", Path(scratch), browser),
        ]
        for side, recipe in UNTRAINED.items():
            model = save_untrained(recipe, Path(scratch, recipe))
            lines += measure_generator(model, f"_{side}", Path(scratch), browser)
    return lines


def measure_generator(model_folder: Path, ending: str, scratch: Path, browser: Any) -> list[Measure]:
    """The lines of one generator, whose names end with `ending`, in a page of its own."""
    model = Model(model_folder)
    caption = " ".join(model.vocabulary[2:6])
    path = scratch / f"page{ending}.html"
    path.write_text(write_page(build_player(model_folder, [caption], Directions(), 8)), encoding="utf-8")
    own, drawn = time_clips(path, model, browser)
    shape = model.shape
    size = f"{shape.frames}x{shape.height}x{shape.width}"
    limits = ("", "") if ending else ("under 500", "at most 4")
    return [
        Measure(f"page_megabytes{ending}", f"a page of the generator alone, {size}", "", _megabytes(path)),
        Measure(f"clip_milliseconds{ending}", f"a clip of {size} in the page, one thread", limits[0], *_best(drawn)),
        Measure(f"torch_milliseconds{ending}", f"a clip of {size} in torch, one thread", "", *_best(own)),
        Measure(f"times_torch{ending}", f"a clip of {size} in the page, to torch", limits[1], min(drawn) / min(own)),
    ]


def save_untrained(recipe: str, folder: Path) -> Path:
    """A generator of a recipe with random weights, none of which is zero, as a training would leave it."""
    params = load_recipe(recipe)
    torch.manual_seed(0)
    network = TextToVideo(params.clip, params.train, len(WORDS))
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    vocabulary = {"words": WORDS, "unlearned": 0, "actions": [], "model": None, "lemmas": False}
    sections = {"clip": params.clip.model_dump(), "train": params.train.model_dump()}
    folder.mkdir()
    save_model(folder, network.eval(), None, {**sections, "max_tokens": 8, "vocabulary": vocabulary})
    return folder


def write_page(player: Inset) -> str:
    """The smallest page that holds a player."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Player</title><style>{player.style}</style>'
        f"<body>{player.html}{player.data}<script>{player.script}</script></body></html>"
    )


@contextmanager
def _open_browser(chromium: str) -> Iterator[Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def time_loads(path: Path, browser: Any) -> Loads:
    """How long a page takes to open."""
    loads = Loads([], [], [])
    for _ in range(LOADS):
        start, used = time.perf_counter(), _read_browser_time()
        page = _open_page(path, browser)
        loads.ready.append(time.perf_counter() - start)
        loads.used.append(_read_browser_time() - used)
        loads.painted.append(page.evaluate(PAINTED))
        page.close()
    return loads


def time_clips(path: Path, model: Model, browser: Any) -> tuple[list[float], list[float]]:
    """Milliseconds of one thread for clips in torch, and in a page."""
    torch.set_num_threads(1)
    page = _open_page(path, browser)
    own, drawn = [], []
    for seed in range(CLIPS):
        start = _read_worker_time()
        _draw_again(page)
        drawn.append(_read_worker_time() - start)
        z = draw_noise(seed, 1, model.generator.z_width)
        begun = time.thread_time()
        sample(model, [(2, 3, 4, 5)], z)
        own.append(1000 * (time.thread_time() - begun))
    page.close()
    return own, drawn


def _read_worker_time() -> float:
    """Milliseconds of CPU time that the workers of all pages have taken."""
    return 1000 * sum(
        _read_time(thread) for thread in _list_threads() if _read_name(thread).startswith("DedicatedWorker")
    )


def _read_browser_time() -> float:
    """Seconds of CPU time that the threads of the browser have taken."""
    return sum(map(_read_time, _list_threads()))


def _list_threads() -> list[Path]:
    """Of all processes below this one, as Linux has them."""
    processes = psutil.Process().children(recursive=True)
    return [thread for process in processes for thread in Path(f"/proc/{process.pid}/task").glob("*")]


def _read_name(thread: Path) -> str:
    with suppress(OSError):  # it may end meanwhile
        return (thread / "comm").read_text(encoding="utf-8")
    return ""


def _read_time(thread: Path) -> float:
    with suppress(OSError):
        return int((thread / "schedstat").read_text(encoding="utf-8").split()[0]) / 1e9
    return 0.0


def _open_page(path: Path, browser: Any) -> Any:
    """A page whose first clip is seen."""
    page = browser.new_page()
    page.goto(path.absolute().as_uri())
    page.wait_for_selector("#player-canvas[data-drawn]", timeout=300_000)
    return page


def _draw_again(page: Any) -> None:
    """Have one more clip drawn."""
    before = page.locator("#player-canvas").get_attribute("data-drawn")
    page.evaluate(DRAW)
    page.wait_for_function(DRAWN, arg=before, timeout=120_000)


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


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
