"""Size and loading time of pages, and speed of the generator in them: writes bench/page.json.

Run `dvc repro` first, then `python -m bench.page --model data/model`; clips and report are found next to the model.
Pages are opened from files in headless Chromium, driven by Playwright, and in headless Firefox. The page of a sweep is
`--sweep`, or else made of twelve copies of the run with different clips. Larger clips are of recipes, with random
weights, which do not affect the time. Loading is measured in wall time, and in CPU time of the whole browser, which is
more reliable on a shared machine. The time of a clip is the CPU time of the worker, compared with one thread of torch
on the same machine, alternating. The best of each counts.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from playwright.sync_api import sync_playwright

from bench.measuring import ROOT, describe_machine
from bench.page_loads import Loads, list_threads, read_time, time_chromium, time_firefox
from bench.table import Measure, collect_figures, print_measures
from pipeline.cli.recipe import load_recipe
from pipeline.data.dataset import DataFolders
from pipeline.data.sampler import draw_noise
from pipeline.directions import DirectionRules
from pipeline.files import write_json
from pipeline.inference import Model, sample, save_model
from pipeline.models.networks import TextToVideo
from pipeline.page import build_comparison
from pipeline.page.run import Run, RunFolders
from pipeline.page.widgets import Widget, build_blind_test, build_player
from pipeline.params import Params, load_params
from pipeline.rendering import Block, Row, Window
from pipeline.rendering.export import export_samples, read_samples
from pipeline.text.vocabulary import PAD_TOKEN, UNKNOWN_TOKEN

CLIPS, POINTS = 15, 12
UNTRAINED = {64: "ssv2-64", 128: "ssv2-128"}  # side of a clip -> recipe
WORDS = [PAD_TOKEN, UNKNOWN_TOKEN, "a", "from", "left", "mug", "pushing", "right", "the", "to"]
DRAW = "() => { const form = document.getElementById('player-form'); form.requestSubmit(); }"
DRAWN = "drawn => document.getElementById('player-canvas').dataset.drawn !== drawn"


def measure_page(model_folder: Path, chromium: str, firefox: str, sweep: Path | None) -> list[Measure]:
    """The rows of the table."""
    data = model_folder.parent
    report = data / "report/index.html"
    folders = DataFolders(data / "labels", data / "clips", data / "captions")
    pairs = build_blind_test(folders, model_folder, 0, 8)
    with tempfile.TemporaryDirectory() as scratch, _open_browser(chromium) as browser:
        sweep = sweep or write_sweep(data, load_params(), Path(scratch))
        lines = [
            Measure("report_megabytes", "the report with the generator in it", "under 5", _megabytes(report)),
            Measure("blind_test_megabytes", "the blind test in it", "", len(pairs.data) / 1e6),
            *list_loads("", "the report", ("under 1", "under 2"), time_chromium(report, browser)),
            *(
                list_loads("firefox_", "the report in Firefox", ("", ""), time_firefox(report, firefox))
                if firefox
                else ()
            ),
            *measure_sweep(sweep, browser, firefox),
            *measure_generator(model_folder, "", Path(scratch), browser),
        ]
        for side, recipe in UNTRAINED.items():
            model = save_untrained(recipe, Path(scratch, recipe))
            lines += measure_generator(model, f"_{side}", Path(scratch), browser)
    return lines


def measure_sweep(page: Path, browser: Any, firefox: str) -> list[Measure]:
    """The rows for the page of several runs."""
    lines = [
        Measure("sweep_megabytes", f"the page of a sweep of {POINTS} points", "at most 25", _megabytes(page)),
        *list_loads("sweep_", "the page of the sweep", ("", "under 3"), time_chromium(page, browser), draws=False),
    ]
    if firefox:
        opened = time_firefox(page, firefox)
        lines += list_loads("sweep_firefox_", "the page of the sweep in Firefox", ("", "under 3"), opened, draws=False)
    return lines


def list_loads(
    beginning: str, what: str, limits: tuple[str, str], loads: Loads, *, draws: bool = True
) -> list[Measure]:
    """The rows for loading a page, with the prefix `beginning`; `draws`: the page has the generator."""
    painted, whole = limits
    end, times = ("ready", loads.ready) if draws else ("whole", loads.whole)
    until = "the first clip is shown" if draws else "all visible clips and all charts are shown"
    return [
        Measure(f"{beginning}painted_seconds", f"{what}: opened until first paint", painted, *_best(loads.painted)),
        Measure(f"{beginning}{end}_seconds", f"{what}: opened until {until}", whole, *_best(times)),
        Measure(f"{beginning}{end}_cpu_seconds", "CPU time of the browser until then", "", *_best(loads.used)),
    ]


def write_sweep(data: Path, params: Params, folder: Path) -> Path:
    """Write the page of `POINTS` points, copies of the run in `data` with shifted clips."""
    rows = read_samples(data / "samples/grid.npz")
    runs = []
    for number in range(1, POINTS + 1):
        own = RunFolders.within(folder / str(number))
        for product in ("labels", "captions", "model", "judge", "evaluation"):
            shutil.copytree(data / product, getattr(own, product))
        own.samples.mkdir()
        shifted = [
            Row(row.title, [Block(one.title, [_shift(window, number) for window in one.windows]) for one in row.blocks])
            for row in rows
        ]
        export_samples(shifted, own.samples / "grid.npz", scale=1, fps=params.render.fps, provenance={})
        runs.append(Run(f"sweep-{number}", own, {"training_seed": number}))
    page = folder / "sweep.html"
    page.write_text(build_comparison(runs, params.report, params.render.fps), encoding="utf-8")
    return page


def _shift(window: Window, by: int) -> Window:
    """The clip shifted cyclically to the right: equal detail in different bytes."""
    return Window(window.label, np.roll(window.frames, by, axis=2))


def measure_generator(model_folder: Path, ending: str, scratch: Path, browser: Any) -> list[Measure]:
    """The rows for one generator in a separate page, with the suffix `ending`."""
    model = Model(model_folder)
    caption = " ".join(model.vocabulary[2:6])
    path = scratch / f"page{ending}.html"
    path.write_text(write_page(build_player(model_folder, [caption], DirectionRules(), 8)), encoding="utf-8")
    own, drawn = time_clips(path, model, browser)
    shape = model.shape
    size = f"{shape.frames}x{shape.height}x{shape.width}"
    limits = ("", "") if ending else ("under 500", "at most 4")
    return [
        Measure(f"page_megabytes{ending}", f"a page of the generator alone, {size}", "", _megabytes(path)),
        Measure(f"clip_milliseconds{ending}", f"a clip of {size} in the page, one thread", limits[0], *_best(drawn)),
        Measure(f"torch_milliseconds{ending}", f"a clip of {size} in torch, one thread", "", *_best(own)),
        Measure(
            f"times_torch{ending}", f"a clip of {size} in the page, relative to torch", limits[1], min(drawn) / min(own)
        ),
    ]


def save_untrained(recipe: str, folder: Path) -> Path:
    """Save a generator of a recipe with random weights, none of which is zero, as after training."""
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


def write_page(player: Widget) -> str:
    """A minimal page with a player."""
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


def time_clips(path: Path, model: Model, browser: Any) -> tuple[list[float], list[float]]:
    """CPU milliseconds per clip, in one thread: in torch, and in the page."""
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
    """CPU milliseconds used by the workers of all pages."""
    return 1000 * sum(
        read_time(thread) for thread in list_threads() if _read_name(thread).startswith("DedicatedWorker")
    )


def _read_name(thread: Path) -> str:
    with suppress(OSError):  # it may end meanwhile
        return (thread / "comm").read_text(encoding="utf-8")
    return ""


def _open_page(path: Path, browser: Any) -> Any:
    """Open a page and wait for its first clip."""
    page = browser.new_page()
    page.goto(path.absolute().as_uri())
    page.wait_for_selector("#player-canvas[data-drawn]", timeout=300_000)
    return page


def _draw_again(page: Any) -> None:
    """Generate another clip."""
    before = page.locator("#player-canvas").get_attribute("data-drawn")
    page.evaluate(DRAW)
    page.wait_for_function(DRAWN, arg=before, timeout=120_000)


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


def _best(values: list[float]) -> tuple[float, float]:
    return min(values), sorted(values)[len(values) // 2]


def main(
    model: Annotated[Path, typer.Option(help="folder of a trained model")] = Path("data/model"),
    sweep: Annotated[Path | None, typer.Option(help="page of several runs [default: one made of this run]")] = None,
    chromium: Annotated[str, typer.Option(help="path of Chromium")] = "/usr/bin/chromium",
    firefox: Annotated[str, typer.Option(help="path of Firefox; empty: skip it")] = shutil.which("firefox") or "",
    out: Annotated[Path, typer.Option("-o", "--out")] = ROOT / "bench/page.json",
) -> None:
    """Measure, print the table and write the figures."""
    measures = measure_page(model, chromium, firefox, sweep)
    print_measures(measures)
    write_json(out, {**collect_figures(measures), "machine": describe_machine()})


if __name__ == "__main__":
    typer.run(main)
