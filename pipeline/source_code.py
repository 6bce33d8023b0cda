"""The modules of this project that a module imports, from its import statements, and the digest of their files.

DVC does not follow imports, and a checkpoint must not be resumed by other code: `tests/structure/test_graph.py`
compares these modules with the dependencies in `dvc.yaml`, and fingerprints of runs include the digest. Nothing is
executed.
"""

import ast
import functools
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from pipeline.files import digest_file, digest_value
from pipeline.params import GENERATORS

ROOT = Path(__file__).parents[1]
# Modules that change no output: thread settings; params, whose values are hashed; errors, which end a command; and
# modules that only observe or report.
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
    """The dotted name of a file: pipeline/video/__init__.py -> pipeline.video."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def modules() -> dict[str, Path]:
    """All modules of this project by dotted name."""
    paths = sorted(path for top in ("pipeline", "stages") for path in (ROOT / top).rglob("*.py"))
    return {module_name(path): path for path in paths}


@functools.cache
def read_imports(path: Path) -> frozenset[str]:
    """The dotted names that a module imports, also inside functions; for this project's, the names of modules."""
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
    """The module and all modules of this project that it imports, directly or not."""
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
    """The digest of the code of modules: their files and those of all imported modules, except EXEMPT."""
    loaded = {path for name in names for path in find_loaded(modules()[name])}
    files = {path.relative_to(ROOT).as_posix(): path for path in loaded}
    return digest_value({name: digest_file(path) for name, path in files.items() if not name.startswith(EXEMPT)})


def digest_maker(name: str) -> str:
    """The digest of a module's code and of the built-in networks, which params select."""
    return digest_code(name, *(section.network.split(":")[0] for section in GENERATORS.values()))


def describe_maker(name: str) -> dict[str, str]:
    """Provenance: a module, the digest of its code, and the version of this project."""
    return {"made_by": name, "code": digest_maker(name), "version": f"t2v {version('t2v')}"}


def _packages(name: str) -> Iterator[str]:
    """a.b.c -> a, a.b, a.b.c: importing a module imports its parent packages."""
    parts = name.split(".")
    return (".".join(parts[: index + 1]) for index in range(len(parts)))
