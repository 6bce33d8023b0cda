"""The modules of this project that a module loads, read from import statements, and the digest of their files.

DVC does not follow imports, and a saved state must not be taken up by other code. Both questions have one answer here:
`tests/structure/test_graph.py` holds the folders that `dvc.yaml` names against it, fingerprints of runs are made of it.
Nothing is executed.
"""

import ast
import functools
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from pipeline.files import digest_file, digest_value
from pipeline.params import GENERATORS

ROOT = Path(__file__).parents[1]
# What changes no output: how threads wait; values of params are hashed themselves, errors end a command, the rest only
# watches or tells.
EXEMPT = (
    "pipeline/__init__.py",
    "pipeline/cli/",
    "pipeline/errors.py",
    "pipeline/monitoring/",
    "pipeline/params/",
    "pipeline/planning/",
)


@functools.cache
def parse(path: Path) -> ast.Module:
    """The module at `path`."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    """Its dotted name: pipeline/video/__init__.py -> pipeline.video."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of this project by its dotted name."""
    paths = sorted(path for top in ("pipeline", "stages") for path in (ROOT / top).rglob("*.py"))
    return {module_name(path): path for path in paths}


@functools.cache
def read_imports(path: Path) -> frozenset[str]:
    """Dotted names that the module imports anywhere, also inside functions; ours down to the module."""
    found = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            submodules = {name for name in inner if name in modules() or name.startswith("torch.")}
            found |= submodules or {str(node.module)}
            if len(submodules) < len(inner):
                found.add(str(node.module))
    return frozenset(found)


def find_loaded(path: Path) -> set[Path]:
    """The module itself and every module of ours that importing it loads."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += [
                modules()[part] for name in read_imports(current) for part in _packages(name) if part in modules()
            ]
    return found


def digest_code(*names: str) -> str:
    """Names the code that decides what modules make: their files and those of all they load, less the exempt ones."""
    loaded = {path for name in names for path in find_loaded(modules()[name])}
    files = {path.relative_to(ROOT).as_posix(): path for path in loaded}
    return digest_value({name: digest_file(path) for name, path in files.items() if not name.startswith(EXEMPT)})


def digest_maker(name: str) -> str:
    """Names the code of the module that makes something, and of the networks of ours, which params name."""
    return digest_code(name, *(section.network.split(":")[0] for section in GENERATORS.values()))


def describe_maker(name: str) -> dict[str, str]:
    """The module that makes something, its code, and the version of this project."""
    return {"made_by": name, "code": digest_maker(name), "version": f"t2v {version('t2v')}"}


def _packages(name: str) -> Iterator[str]:
    """a.b.c -> a, a.b, a.b.c: importing a module runs the packages around it."""
    parts = name.split(".")
    return (".".join(parts[: index + 1]) for index in range(len(parts)))
