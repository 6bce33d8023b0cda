"""What a plan knows of the data, and what it assumes."""

import re

from locations import ROOT
from markdown_pages import Page
from training_sets import CPU, T, tiny_params, write_project

from pipeline.data.dataset import DataFolders
from pipeline.params import load_params
from pipeline.planning import TOKENS, WORDS, count_parameters, read_assumptions, resident_bytes
from pipeline.planning.dry_run import TrainingTask

PLACES = ("labels", "clips", "captions")


def test_words_and_clips_are_counted_where_there_are_data_and_assumed_elsewhere(tmp_path):
    write_project(tmp_path)
    params = tiny_params()
    found = read_assumptions(params, DataFolders(*(tmp_path / "data" / name for name in PLACES)))
    assert (found.clips, found.vectors) == (22, None)
    assert found.tokens == len(["pushing", "a", "book", "from", "left", "to", "right"])
    assumed = read_assumptions(params, DataFolders(*(tmp_path / "nothing" / name for name in PLACES)))
    assert (assumed.words, assumed.tokens, assumed.clips) == (WORDS, TOKENS, 0)
    assert "no such" in assumed.source


def test_clips_count_only_where_they_lie_on_the_device():
    params = tiny_params()
    each = T * params.clip.height * params.clip.width * 3

    def loading(kind):
        return params.model_copy(update={"compute": params.compute.model_copy(update={"loading": kind})})

    assert resident_bytes(loading("resident"), 10, 5 * each) == 10 * each
    assert resident_bytes(loading("auto"), 10, 20 * each) == 10 * each
    assert resident_bytes(loading("auto"), 10, 19 * each) == 0
    assert resident_bytes(loading("streamed"), 10, 100 * each) == 0


def test_the_networks_of_the_demo_are_those_that_the_page_shows():
    (shown,) = (block.text for block in Page(ROOT / "docs/how-to/plan-a-training.md").blocks("text"))
    params = load_params(ROOT / "params.yaml")
    counted = count_parameters(TrainingTask(params.clip, params.train, CPU, 1, WORDS, TOKENS))
    found = re.findall(r"^((?:generator|discriminator)\.\w+) +([\d,]+)$", shown, re.MULTILINE)
    assert {name: int(number.replace(",", "")) for name, number in found} == counted
