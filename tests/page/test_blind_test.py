"""The blind test: which pairs are shown, that both clips of one are packed alike, and the sheet that it saves."""

import json
from dataclasses import replace

import numpy as np
import pytest
from browsers import needs_chromium, write_page
from players import save_generator
from training_sets import H, T, W, open_dataset, tiny_clips, write_data

from pipeline.cli.blindtest import measure_people, read_sheets
from pipeline.data.sampler import derive_seed, draw_noise
from pipeline.inference import Model, sample
from pipeline.page.widgets import PAIRS, build_blind_test, draw_pairs

HOSTILE = "<img src=x onerror=alert(1)> </script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run whose test split has 30 clips of 6 captions, one of them hostile, beside clips of other splits."""
    folder = tmp_path_factory.mktemp("run")
    made = tiny_clips(36, split="test", val=6)
    made[0] = (replace(made[0][0], caption=HOSTILE, original=HOSTILE), made[0][1])
    write_data(folder, made)
    save_generator(folder / "model", (T, H, W))
    return folder


def build(folder, seed=3):
    return build_blind_test(open_dataset(folder).folders, folder / "model", seed, 8)


def read_test(widget):
    return json.loads(widget.data.split(">", 1)[1].split("</script>", 1)[0])


def test_pairs_are_of_the_test_split_with_samples_of_the_same_captions(folder):
    dataset, model = open_dataset(folder), Model(folder / "model")
    rows = dataset.rows("test")[:9]
    pairs = draw_pairs(dataset, model, rows, 3)
    noise = draw_noise(derive_seed(3, "blind test"), len(rows), model.generator.z_width)
    for number, (row, pair) in enumerate(zip(rows, pairs, strict=True)):
        (clip,) = dataset.clips([row])
        caption = dataset.captions[clip.id]
        assert clip.split == "test"
        assert pair.caption == clip.caption
        assert np.array_equal(pair.real, dataset.frames([row])[0])
        own = sample(model, [model.condition(caption)], noise[number : number + 1])[0]
        assert np.abs(pair.generated.astype(int) - own).max() <= 1
    assert {pair.side for pair in pairs} == {"left", "right"}


def test_every_caption_comes_before_any_comes_twice(folder):
    captions = [pair["caption"] for pair in read_test(build(folder))["pairs"]]
    kinds = set(captions)
    assert len(captions) == PAIRS
    assert len(kinds) == 7
    assert set(captions[: len(kinds)]) == kinds


def test_equal_runs_give_equal_bytes_and_another_seed_another_test(folder):
    first = build(folder)
    assert first == build(folder)
    assert read_test(first)["test"] != read_test(build(folder, 4))["test"]


def test_a_run_without_test_clips_says_so(tmp_path):
    write_data(tmp_path, tiny_clips(6))
    save_generator(tmp_path / "model", (T, H, W))
    widget = build(tmp_path)
    assert "test split" in widget.reason
    assert widget.reason in widget.html
    assert widget.script == widget.data == ""


@needs_chromium
def test_answers_become_a_sheet_that_is_read(open_chromium, folder, tmp_path):
    widget = build(folder)
    pairs = read_test(widget)["pairs"]
    with open_chromium(write_page(widget, tmp_path / "page.html"), accept_downloads=True) as page:
        for number, pair in enumerate(pairs):
            shown = "(text) => document.querySelector('#blind-caption').textContent === text"
            page.wait_for_function(shown, arg=pair["caption"])
            side = pair["real"] if number % 4 else {"left": "right", "right": "left"}[pair["real"]]
            if number == 7:
                page.reload()  # answers stay
            page.get_by_role("button", name=f"The {side} one is real").click()
        assert page.locator("#blind-state").text_content().startswith("15 of 20 correct")
        assert page.locator(".blind-test img").count() == 0
        page.get_by_label("Your name").fill('=Ann, "A"')
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save answers as CSV").click()
        sheet = tmp_path / "sheet.csv"
        saved.value.save_as(sheet)
    figures = measure_people(read_sheets([sheet]))
    assert figures['\'=Ann, "A"'].value == 0.75


@needs_chromium
def test_both_clips_are_seen(open_chromium, folder, tmp_path):
    with open_chromium(write_page(build(folder), tmp_path / "page.html")) as page:
        page.wait_for_function(
            """() => ["left", "right"].every((side) => {
                const canvas = document.getElementById(`blind-${side}`);
                return new Set(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data).size > 2;
            })"""
        )
