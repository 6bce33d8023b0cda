"""The graph names all code and all params that its stages use, and no more; DVC itself follows neither.

Exempt: `pipeline/params`, since the values it reads are hashed themselves; `pipeline/errors.py`, since it ends
commands and makes no output; `pipeline/__init__.py`, which says how threads wait and that nobody is told of a run;
`pipeline/planning`, since it tells of a training before it starts, or refuses it.
`pipeline/files.py` writes bytes, so it counts.
"""

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from source_tree import MODULES, ROOT, find_loaded, parse, read_imports

from pipeline.source_code import EXEMPT

EXEMPT_SECTIONS = {"checkpoints", "compute", "deterministic", "devices", "logging"}  # outputs do not depend on them
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def read_stages(file: str) -> dict[str, dict[str, Any]]:
    """The stages of a dvc.yaml with the values of params.yaml filled in."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"\$\{([\w.]+)\}", lambda match: str(lookup(match[1])), text))["stages"]


def lookup(key: str) -> Any:
    """The value of a dotted key of params.yaml."""
    value = PARAMS
    for part in key.split("."):
        value = value[part]
    return value


STAGES = read_stages("dvc.yaml") | read_stages("data/demo/dvc.yaml")
each_stage = pytest.mark.parametrize("name", STAGES)


def module_of(name: str) -> Path:
    """The file that the stage runs."""
    words = shlex.split(STAGES[name]["cmd"])
    assert words[:2] == ["python", "-m"], "run as a script, a stage could not see `pipeline`"
    return MODULES.get(words[2], ROOT / words[2].replace(".", "/")).with_suffix(".py")


def code_deps(name: str) -> list[str]:
    """The folders and files of code that the stage depends on."""
    return [dep for dep in STAGES[name]["deps"] if dep.split("/")[0] in ("pipeline", "stages")]


def used_code(name: str) -> set[str]:
    """The files of code that running the stage loads, less the exempt ones and packages that hold no code."""
    loaded = [
        path for path in find_loaded(module_of(name)) if any(type(node) is not ast.Expr for node in parse(path).body)
    ]
    return {name for path in loaded if not (name := str(path.relative_to(ROOT))).startswith(EXEMPT)}


def main_of(name: str) -> ast.FunctionDef:
    """The `main` of the stage's module."""
    functions = [node for node in parse(module_of(name)).body if isinstance(node, ast.FunctionDef)]
    return next(node for node in functions if node.name == "main")


def sections_read(name: str) -> set[str]:
    """The sections that the stage's module takes: `params.clip` or `load_params(...).clip` -> clip.

    The whole tree may pass to a function of this module, whose reads are counted too, and to no other.
    """
    tree = parse(module_of(name))
    nodes = list(ast.walk(tree))
    reads = [node for node in nodes if isinstance(node, ast.Attribute) and is_params(node.value)]
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        if any(is_params(argument) for argument in call.args):
            assert {ast.unparse(part) for part in [call.func, *call.args]} & own, f"{ast.unparse(call)} takes it all"
    return {node.attr for node in reads}


def is_params(node: ast.AST) -> bool:
    """Whether the expression is the whole tree of params."""
    return ast.unparse(node) == "params" or (isinstance(node, ast.Call) and ast.unparse(node.func) == "load_params")


def default_paths(name: str) -> dict[str, str]:
    """Argument -> default path of the stage's `main`."""
    arguments, defaults = main_of(name).args.args, [ast.unparse(value) for value in main_of(name).args.defaults]
    paths = [re.fullmatch(r"Path\('(.*)'\)", text)[1] for text in defaults]
    return dict(zip([argument.arg for argument in arguments], paths, strict=True))


def given_paths(name: str) -> dict[str, str]:
    """Argument -> path as the stage's command gives it."""
    words = shlex.split(STAGES[name]["cmd"])[3:]
    options = [word.removeprefix("--").replace("-", "_") for word in words[::2]]
    return dict(zip(options, words[1::2], strict=True))


@each_stage
def test_a_stage_depends_on_all_code_that_it_loads(name):
    deps = code_deps(name)
    assert {file for file in used_code(name) if not any(Path(file).is_relative_to(dep) for dep in deps)} == set()


@each_stage
def test_a_stage_depends_on_no_code_that_it_does_not_load(name):
    used = used_code(name)
    assert [dep for dep in code_deps(name) if not any(Path(file).is_relative_to(dep) for file in used)] == []


@each_stage
def test_a_stage_lists_every_section_of_params_that_it_reads(name):
    listed = {key.split(".")[0] for key in STAGES[name].get("params", ())}
    assert sections_read(name) - listed - EXEMPT_SECTIONS == set()


@each_stage
def test_a_stage_lists_no_section_of_params_that_it_does_not_read(name):
    """`dataset` also counts as read where a path of it stands in the command."""
    raw = (ROOT / "dvc.yaml").read_text(encoding="utf-8") + (ROOT / "data/demo/dvc.yaml").read_text(encoding="utf-8")
    command = re.search(rf"^  {name}:\n(?: .*\n)*?    cmd: (.*)", raw, re.MULTILINE)[1]
    filled_in = {key.split(".")[0] for key in re.findall(r"\$\{([\w.]+)\}", command)}
    listed = {key.split(".")[0] for key in STAGES[name].get("params", ())}
    assert listed - sections_read(name) - filled_in == set()
    assert listed & EXEMPT_SECTIONS == set()


def test_every_section_of_params_is_listed_by_a_stage():
    """Changing a section that no stage lists would change nothing, in silence."""
    listed = {key.split(".")[0] for stage in STAGES.values() for key in stage.get("params", ())}
    assert set(PARAMS) == listed | EXEMPT_SECTIONS


@each_stage
def test_the_paths_of_a_stage_are_those_of_the_graph(name):
    """What `main` reads and writes by default, or is told to in the command, is what DVC watches."""
    defaults, given = default_paths(name), given_paths(name)
    assert given.keys() <= defaults.keys()
    paths = set((defaults | given).values())
    outs = {path for out in STAGES[name]["outs"] for path in ([out] if isinstance(out, str) else out)}
    videos = {PARAMS["dataset"]["videos"]}  # no dependency: see the next test
    assert paths - outs - videos <= set(STAGES[name]["deps"])
    assert outs <= paths


def test_the_folder_of_videos_is_no_dependency_of_transcode():
    """DVC would hash 220,000 files at every run; the digests in data/labels say the same."""
    assert PARAMS["dataset"]["videos"] not in STAGES["transcode"]["deps"]


def test_no_output_is_kept_between_runs():
    """A checkpoint inside the graph goes on from the baseline's last step: a sweep would train nothing."""
    options = [out for stage in STAGES.values() for out in stage["outs"] if isinstance(out, dict)]
    assert [out for out in options if any(value.get("persist") for value in out.values())] == []


def test_compiled_code_does_not_change_the_folders_of_code():
    assert "__pycache__" in (ROOT / ".dvcignore").read_text(encoding="utf-8").split()


def test_dvc_links_files_instead_of_copying_them():
    text = (ROOT / ".dvc/config").read_text(encoding="utf-8")
    assert 'type = "reflink,hardlink,symlink,copy"' in text
    assert "analytics = false" in text


def test_what_a_stage_loads_is_followed_through_packages():
    """The check itself: a module counts with the packages around it and all that those import."""
    loaded = {str(path.relative_to(ROOT)) for path in find_loaded(ROOT / "pipeline/tables.py")}
    assert loaded == {f"pipeline/{name}.py" for name in ("__init__", "tables", "errors", "files", "letters", "records")}
    assert "typer" in read_imports(ROOT / "pipeline/errors.py")
