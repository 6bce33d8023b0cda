"""What pages name is there: files and modules of this repository, keys and values of params.yaml."""

import importlib.util
import re
from typing import Any

import pytest
import yaml
from locations import ROOT
from markdown_pages import PAGES, Page
from projects import merged

from pipeline.params import check_params
from pipeline.params.data import GENERAL_FORMATS, SETS

TREE = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
TOPS = ("bench", "docs", "extensions", "findings", "pipeline", "recipes", "stages", "tests", "tools")
PATH = re.compile(rf"^(?:{'|'.join(TOPS)})/[\w./-]*$")
MODULE = re.compile(r"^(?:pipeline|stages|bench)(?:\.\w+)+$")
KEY = re.compile(r"^([a-z_]\w*(?:\.[a-z_]\w*)+)(?:[=:].*)?$")
MADE = {"bench/data.json", "bench/train.json"}  # by `make bench`
# Keys that hold names of the user's own, and keys of another kind of the same section.
OPEN = {"train.penalties", "train.generator", "train.discriminator"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_paths_in_backticks_are_there(page):
    paths = {name for name in page.literals() if PATH.match(name)} - MADE
    assert {name for name in paths if not (ROOT / name).exists()} == set()


@each_page
def test_modules_in_backticks_are_there(page):
    modules = {name for name in page.literals() if MODULE.match(name) and not name.endswith(".py")}
    assert {name for name in modules if not is_module(name) and not is_module(name.rpartition(".")[0])} == set()


def is_module(name: str) -> bool:
    """Whether such a module can be imported; a part of a module that is no package can not."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@each_page
def test_keys_of_params_in_backticks_are_there(page):
    matches = (KEY.match(name) for name in page.literals())
    keys = {match[1] for match in matches if match and isinstance(TREE.get(match[1].split(".")[0]), dict)}
    keys = {key for key in keys if not key.endswith((".md", ".py", ".yaml", ".csv", ".json", ".safetensors", ".txt"))}
    assert {key for key in keys if not is_key(TREE, key.split("."), "")} == set()


def is_key(tree: Any, parts: list[str], above: str) -> bool:
    """Whether the key is in the tree, or below a key whose names are open."""
    if not parts or above in OPEN:
        return True
    if not isinstance(tree, dict) or parts[0] not in tree:
        return False
    return is_key(tree[parts[0]], parts[1:], f"{above}.{parts[0]}".lstrip("."))


def test_the_pages_on_formats_count_and_list_them_all():
    formats = {*GENERAL_FORMATS} - {"auto"}
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"in {len(formats)} formats and in those of {len(SETS)} [published datasets]" in readme
    assert formats <= set(Page(ROOT / "docs/reference/dataset-formats.md").literals())
    assert {*SETS} <= set(Page(ROOT / "docs/reference/published-datasets.md").literals())


YAML = [(page, place) for page in PAGES for place in range(len(page.blocks("yaml"))) if page.name.startswith("docs/")]


@pytest.mark.parametrize(("page", "place"), YAML, ids=[f"{page.name}-{place}" for page, place in YAML])
def test_params_that_a_page_shows_are_accepted(page: Page, place: int):
    shown = yaml.safe_load(page.blocks("yaml")[place].text)
    check_params(merged(TREE, shown), page.name)
