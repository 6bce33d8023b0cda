"""Commands in `bash` blocks run as they are shown, page by page, in a tiny reproduced copy of this project.

Commands that need a GPU, a cluster, a long training or the reader's own data are in `console` blocks. In a tutorial the
`yaml` blocks are put into params.yaml on the way, as its reader would.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from locations import ROOT
from markdown_pages import PAGES, Page
from projects import Project, copy_source

from pipeline.cli.commands import COMMANDS, load_command

RUNNABLE = [page for page in PAGES if page.blocks("bash")]


@pytest.fixture(scope="module")
def reader(reproduced, tmp_path_factory) -> Project:
    """The project of somebody who follows the pages one after the other."""
    return build_reader(reproduced, tmp_path_factory.mktemp("reader"))


@pytest.fixture(scope="module")
def newcomer(reproduced, tmp_path_factory) -> Project:
    """The project of somebody who has just made the demo, which no page has changed."""
    return build_reader(reproduced, tmp_path_factory.mktemp("newcomer"))


def build_reader(reproduced: Project, folder: Path) -> Project:
    """A copy of the reproduced project, `t2v` and `dvc` being those of this environment."""
    project = reproduced.copy(folder / "project")
    copy_source(ROOT / "recipes", project.folder / "recipes")
    tools = folder / "bin"
    tools.mkdir()
    for name, module in {"t2v": "pipeline.cli", "dvc": "dvc", "python": ""}.items():
        script = f'#!/bin/sh\nexec "{sys.executable}" {f"-m {module}" if module else ""} "$@"\n'
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    path = f"{tools}{os.pathsep}{project.environment['PATH']}"
    project.environment = project.environment | {"PATH": path, "PYTHONPATH": str(project.folder)}
    return project


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.name)
def test_commands_of_a_page_run_as_shown(reader: Project, page: Page):
    before = (reader.folder / "params.yaml").read_bytes()
    for block in page.blocks("bash", "yaml"):
        if block.language == "bash":
            reader.run("bash", "-euo", "pipefail", "-c", block.text)
        elif page.name.startswith("docs/tutorials/"):
            reader.change(yaml.safe_load(block.text))
    (reader.folder / "params.yaml").write_bytes(before)


def test_some_pages_show_commands_that_run():
    assert len(RUNNABLE) >= 5


def list_commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """The commands of one word or of two, each with what it answers to."""
    for inner, found in getattr(command, "commands", {"": command}).items():
        yield f"{name} {inner}".strip(), found


NAMED = dict(pair for name in COMMANDS for pair in list_commands(name, load_command(name)))
EXAMPLES = {name: re.findall(r"^Example: t2v (.*)$", command.help, re.MULTILINE) for name, command in NAMED.items()}
NOT_RUN = {  # why the example is read, and not run here
    "train": "it runs where `dvc repro train` is tested",
    "blindtest": "it takes tables that people have filled in",
    "sign": "it takes a certificate",
    "serve": "it goes on until it is stopped",
    "sweep run": "it trains for long",
    "sweep report": "it takes a sweep",
    "export": "its graph takes a minute; the page of exporting runs it without",
}
BEFORE = {  # what the example takes
    "evaluate": (
        "mkdir -p other-videos && cp $(ls -d data/demo/videos/*.webm | head -n 2) other-videos/ && cd other-videos && "
        "(echo file_name,caption; for name in *.webm; do echo $name,pushing a mug to the left; done) > metadata.csv"
    ),
    "compare": "cp data/evaluation/intervals.json given.json",
}


CLIP, FIRST_CLIP = "10046", "$(ls data/demo/videos | head -n 1 | cut -d. -f1)"  # of the demo; of the tiny one here


@pytest.mark.parametrize("name", NAMED)
def test_the_help_of_each_command_has_an_example_of_it(name):
    """Of a command of two words whose second one is its own by default, the first will do."""
    (example,) = EXAMPLES[name]
    assert example.split()[: len(name.split())] == name.split() or example.split()[0] == name.split()[0] == "sweep"


@pytest.mark.parametrize("name", NOT_RUN)
def test_an_example_that_is_not_run_has_options_that_are_there(name):
    words = shlex.split(EXAMPLES[name][0])[1 + ("report" in name) :]
    assert NAMED[name].make_context(name, words)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NAMED.keys() - NOT_RUN.keys()))
def test_the_example_of_a_command_runs_as_its_help_shows_it(newcomer: Project, name: str):
    before, example = BEFORE.get(name, "true"), EXAMPLES[name][0].replace(CLIP, FIRST_CLIP)
    newcomer.run("bash", "-euo", "pipefail", "-c", f"({before}); t2v {example}")
