"""Members of a registry by name: built-in ones, or user-defined ones by a reference `package.module:object`.

Only here are modules imported that params name. References are found in the project's folder and in installed
packages.
"""

import ast
import difflib
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any, TypeVar, cast

from pipeline.errors import UserError, first_line
from pipeline.files import digest_file, digest_value
from pipeline.params.base import REFERENCE
from pipeline.source_code import digest_code, modules, parse

Member = TypeVar("Member")

OURS = ("pipeline", "stages")
RAISED = (  # by imported code; errors of the machine, such as a full disk, are not its fault
    *(ArithmeticError, AssertionError, AttributeError, FileNotFoundError, ImportError, LookupError, NameError),
    *(RuntimeError, SyntaxError, TypeError, ValueError),
)


@dataclass(frozen=True)
class Signature:
    """The requirements on a member of a registry."""

    text: str  # for messages: "a function (real logits [B], fake logits [B]) -> loss [B]"
    arguments: tuple[str, ...] = ()  # positional arguments of a call; empty: it is not called
    keywords: tuple[str, ...] = ()  # keyword arguments of a call
    base: type | None = None  # the class it must be an instance of
    is_class: bool = False  # it must be a subclass of `base` instead

    def find_fault(self, member: object) -> str:
        """What is wrong with `member`; empty if nothing is."""
        if self.base is not None:
            name = f"{self.base.__module__}.{self.base.__name__}"
            if self.is_class and not (isinstance(member, type) and issubclass(member, self.base)):
                return f"is not a subclass of {name}"
            if not self.is_class and not isinstance(member, self.base):
                return f"is not of type {name}"
        if not self.arguments:
            return ""
        if not callable(member):
            return f"is not callable: {type(member).__name__}"
        try:
            inspect.signature(member).bind(*self.arguments, **dict.fromkeys(self.keywords))
        except TypeError as error:
            call = ", ".join([*self.arguments, *(f"{name}=" for name in self.keywords)])
            return f"cannot be called with ({call}): {error}"
        except ValueError:  # compiled code without a readable signature
            return ""
        return ""


def is_reference(name: str) -> bool:
    """Whether `name` has the form `package.module:object`."""
    return re.fullmatch(REFERENCE, name) is not None


def resolve(name: str, registry: Mapping[str, Member], key: str, signature: Signature) -> Member:
    """The member of `registry` named `name`, or the object that `name` refers to.

    Raises UserError that names the key of params.yaml, its value, the built-in names and the expected signature.
    """
    if name in registry:
        return registry[name]
    fault = f"is not a built-in name{_suggest(name, registry)}"
    if is_reference(name):
        found, fault = _import(name)
        fault = fault or signature.find_fault(found)
        if not fault:
            return cast(Member, found)
    built_in = f"built in: {', '.join(registry)}; otherwise" if registry else "expected"
    raise UserError(f"{key}: {name!r} {fault}; {built_in} package.module:object, which is {signature.text}")


def list_references(values: Any) -> list[str]:
    """All references in a tree of params, including the keys of mappings."""
    return sorted(set(_find_references(values)))


def digest_references(values: Any) -> dict[str, str]:
    """Reference -> digest of its code: the module and the user's modules that it imports."""
    return {reference: _digest_module(reference.partition(":")[0]) for reference in list_references(values)}


def _suggest(name: str, registry: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, registry, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _find_references(values: Any) -> Iterator[str]:
    if isinstance(values, str) and is_reference(values):
        yield values
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from _find_references(key)
            yield from _find_references(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _find_references(value)


def _import(reference: str) -> tuple[object, str]:
    """The object of a reference, or None, and what is wrong; empty if nothing is."""
    module, _, name = reference.partition(":")
    if module not in sys.modules:  # called in every training step
        _see_project()
    try:
        return getattr(importlib.import_module(module), name), ""
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            return None, f"has no module {module} in {Path.cwd()} or among the installed packages"
        return None, f"cannot be imported: {first_line(error)}"
    except SystemExit as error:  # of a script without `if __name__ == "__main__":`
        return None, f"cannot be imported: its module ends the program, with {error.code!r}"
    except RAISED as error:
        if isinstance(error, AttributeError) and module in sys.modules:
            return None, f"has no {name} in {sys.modules[module].__file__}"
        return None, f"cannot be imported: {type(error).__name__}: {first_line(error)}"


def _see_project() -> None:
    """Make the project's folder importable, as it is with `python -m` but not in console commands."""
    importlib.invalidate_caches()
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.insert(0, str(Path.cwd()))


def _digest_module(module: str) -> str:
    """The digest of the code of a user's module and of all modules that it imports from the user or this package."""
    _see_project()
    files: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in files and _belongs(name, module) and (path := _find_file(name)):
            files[name] = digest_file(path)
            waiting += _list_imports(name, path)
        elif name in modules():
            files[name] = digest_code(name)
    return digest_value(files)


def _belongs(name: str, module: str) -> bool:
    """Whether a module is the user's: in the same top-level package as `module`, or in the project's folder."""
    top = name.partition(".")[0]
    if top in OURS:
        return False
    if top == module.partition(".")[0]:
        return True
    found = find_spec(top)
    places = [] if found is None else [found.origin or "", *(found.submodule_search_locations or [])]
    inside = [Path(place).relative_to(Path.cwd()) for place in places if Path(place).is_relative_to(Path.cwd())]
    return any("site-packages" not in path.parts for path in inside)


def _find_file(name: str) -> Path | None:
    """The source file of a module; None if there is none."""
    try:
        found = find_spec(name)
    except RAISED:  # the name may be no module, and importing its parent may raise
        return None
    origin = found.origin if found else None
    return Path(origin) if origin and origin.endswith(".py") else None


def _list_imports(name: str, path: Path) -> Iterator[str]:
    """The modules that the file at `path` imports, including imported names that may be modules."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = resolve_name("." * node.level + (node.module or ""), package) if node.level else str(node.module)
            yield start
            yield from (f"{start}.{alias.name}" for alias in node.names)
