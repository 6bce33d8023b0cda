"""Commands in `bash` blocks run as they are shown, page by page, in a tiny reproduced copy of this project.

Commands that need a GPU, a cluster, a long training or the reader's own data are in `console` blocks. In a tutorial the
`yaml` blocks are put into params.yaml on the way, as its reader would.
"""

import os
import sys

import pytest
import yaml
from locations import ROOT
from markdown_pages import PAGES, Page
from projects import Project, copy_source

RUNNABLE = [page for page in PAGES if page.blocks("bash")]


@pytest.fixture(scope="module")
def reader(reproduced, tmp_path_factory) -> Project:
    """The project of somebody who follows the pages, `t2v` and `dvc` being those of this environment."""
    folder = tmp_path_factory.mktemp("reader")
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
