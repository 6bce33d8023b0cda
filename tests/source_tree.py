"""The project's modules as syntax trees, and what each imports; nothing is executed."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for top in ("pipeline", "stages") for path in (ROOT / top).rglob("*.py"))


@functools.cache
def parse(path: Path) -> ast.Module:
    """The module at `path`."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    """Its dotted name: pipeline/video/__init__.py -> pipeline.video."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """Dotted names that the module imports anywhere, also inside functions; ours down to the module."""
    found = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            submodules = {name for name in inner if name in MODULES or name.startswith("torch.")}
            found |= submodules or {str(node.module)}
            if len(submodules) < len(inner):
                found.add(str(node.module))
    return frozenset(found)


def reachable(path: Path) -> set[Path]:
    """The module itself and every module of ours that importing it loads."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += [MODULES[part] for name in imports(current) for part in _packages(name) if part in MODULES]
    return found


def _packages(name: str) -> Iterator[str]:
    """a.b.c -> a, a.b, a.b.c: importing a module runs the packages around it."""
    parts = name.split(".")
    return (".".join(parts[: place + 1]) for place in range(len(parts)))
