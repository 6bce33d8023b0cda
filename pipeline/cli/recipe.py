"""`t2v recipe`: starting points for params.yaml, stored as differences from the defaults."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from types import MappingProxyType
from typing import Annotated, Any

import typer
import yaml

from pipeline.errors import UserError, spell_count, suggest_name
from pipeline.files import atomic_write
from pipeline.params import DEFAULTS, Params, check_params, read_text, read_yaml, show_value
from pipeline.yaml_editor import read_to_edit, write_edited

FOLDER = Path("recipes")
PARAMS = Path("params.yaml")
DEMO = "demo"  # the recipe without differences
REPLACED = {"penalties"}  # mappings that a recipe replaces as a whole, like a section with another `kind`
ABSENT = "absent"
KEY = re.compile(r"( *)([\w-]+):(?: |$)")  # of a line of params
# A comment in a line of params; a # in quotes, or after a letter, does not start one.
COMMENT = re.compile(r"""(?:[^#'"]|"[^"]*"|(?<=\w)'|'[^']*'|(?<=\S)#)*(#.*)""")
SHOWN = 4  # keys that a message names
END = "the end"  # the key of comments that no key follows

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False)


def complete_recipe(incomplete: str) -> list[str]:
    """The recipes of the current folder with this prefix, for shell completion."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem.startswith(incomplete))


Name = Annotated[str, typer.Argument(help="a recipe; see `t2v recipe list`", autocompletion=complete_recipe)]


@app.callback()
def recipe() -> None:
    """Write params.yaml from a recipe, or compare it with one."""


@app.command("list")
def list_recipes() -> None:
    """List the recipes of the folder `recipes`, each with its purpose.

    Example: t2v recipe list
    """
    names = _find_names()
    for name in names:
        print(f"{name:{max(map(len, names))}}  {_read_head(name)[0].removeprefix('# ')}")


@app.command()
def show(name: Name) -> None:
    """Print a recipe: only the keys that differ from the defaults.

    Example: t2v recipe show demo-hard
    """
    print(read_text(_locate(name)), end="")


@app.command()
def write(
    name: Name,
    to: Annotated[Path, typer.Option(help="file to write")] = PARAMS,
    keep: Annotated[str, typer.Option(help="keys whose values to keep, such as dataset,filter.categories")] = "",
    force: Annotated[bool, typer.Option("--force", help="overwrite a file that has other changes of your own")] = False,
) -> None:
    """Write the whole params.yaml: the defaults with their comments, and the values of a recipe.

    Your own comments are kept, above the keys that they belong to. Values to keep are those of the file that is
    replaced, or of params.yaml.

    Example: t2v recipe write demo-hard --to params-hard.yaml
    """
    if to.is_dir():
        raise UserError(f"{to}: is a folder; name a file")
    kept = [key.strip() for key in keep.split(",") if key.strip()]
    text = build_text(name, _read_kept(to if to.exists() else PARAMS, kept))
    check_params(yaml.safe_load(text), f"{_locate(name)} with your {keep}" if kept else str(_locate(name)))
    if to.exists() and not force:
        _refuse_to_lose(to, kept)
    text, homeless = _keep_comments(text, _find_own_comments(read_text(to), text)) if to.exists() else (text, [])
    if homeless and not force:
        keys = ", ".join(homeless)
        raise UserError(f"{to}: {name} has no key for your comments at {keys}; keep a copy, then repeat with --force")
    with atomic_write(to) as temporary:
        temporary.write_text(text, encoding="utf-8")
    gone = f"; your comments at {', '.join(homeless)} were removed with their keys" if homeless else ""
    yours = f" with your {', '.join(kept)}" if kept else ""
    other = "" if to == PARAMS else f" --params {quote(str(to))}"
    print(f"{to}: {name}{yours}; `t2v recipe diff{other}` lists what differs from the defaults{gone}")


@app.command()
def diff(
    name: Annotated[str, typer.Argument(help="recipe to compare with", autocompletion=complete_recipe)] = DEMO,
    params: Annotated[Path, typer.Option(help="file to compare")] = PARAMS,
) -> None:
    """List the keys of params.yaml that differ from the defaults, or from a recipe.

    Example: t2v recipe diff demo-hard
    """
    if not params.exists():
        raise UserError(f"{params}: no such file in {Path.cwd()}; run `t2v recipe write {name}`")
    found = list(find_differences(_merged(name), _read_tree(params)))
    for key, old, new in found:
        print(f"{key}: {old} -> {new}")
    print(f"{params} differs from {name} in {spell_count(len(found), 'key')}" if found else f"{params} equals {name}")


def load_recipe(name: str) -> Params:
    """The params of a recipe: the defaults, overridden by its values."""
    return check_params(_merged(name), str(_locate(name)))


def build_text(name: str, kept: Mapping[str, Any] = MappingProxyType({})) -> str:
    """The text of the defaults, with comments and alignment, the values of a recipe, its head, and kept values."""
    changes = _read_tree(_locate(name))
    if not changes and not kept:
        return read_text(DEFAULTS)
    tree = read_to_edit(read_text(DEFAULTS))
    if changes:
        merge(tree, read_to_edit(read_text(_locate(name))))
    for key, value in kept.items():
        _replace(tree, key, value, name)
    return "\n".join([*(_read_head(name) if changes else ()), write_edited(tree)])


def merge(tree: Any, changes: Any) -> None:
    """Merge `changes` into `tree` recursively; comments of ruamel.yaml are preserved."""
    for key, value in changes.items():
        old = tree.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            if key in REPLACED or value.get("kind", old.get("kind")) != old.get("kind"):
                for gone in list(old):
                    del old[gone]
            merge(old, value)
        elif isinstance(old, list) and isinstance(value, list) and old:
            old[:] = value
        else:
            tree[key] = value


def _replace(tree: Any, key: str, value: Any, name: str) -> None:
    """Set the value at a dotted key of the params of this name; comments of keys that stay are preserved."""
    old = _look_up(tree, key, name)
    above, _, last = key.rpartition(".")
    _remove_absent(old, value)
    merge(_look_up(tree, above, name) if above else tree, {last: value})


def _remove_absent(old: Any, new: Any) -> None:
    """Remove the keys of a mapping that another one lacks, recursively."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in list(old):
            if key in new:
                _remove_absent(old[key], new[key])
            else:
                del old[key]


def _keep_comments(text: str, comments: Mapping[str, Sequence[str]]) -> tuple[str, list[str]]:
    """The text of params with comments inserted above their dotted keys, and the keys that it does not have."""
    lines, found = [], set()
    for line, key in _read_keys(text):
        if key and key in comments and key not in found:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [f"{indent}{comment}" for comment in comments[key]]
            found.add(key)
        lines.append(line)
    lines += comments.get(END, ())
    return "\n".join(lines) + "\n", [key for key in comments if key not in found and key != END]


def _read_kept(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Dotted key -> its value in a file of params, with the comments in it."""
    if not keys:
        return {}
    _read_tree(path)  # whose messages name the file
    tree = read_to_edit(read_text(path))
    return {key: _look_up(tree, key, str(path)) for key in keys}


def _look_up(tree: Any, key: str, name: str) -> Any:
    """The value at a dotted key of the params of this name."""
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            raise UserError(f"--keep: {name} has no key {key}{suggest_name(part, list(tree)) if tree else ''}")
        tree = tree[part]
    return tree


def _refuse_to_lose(path: Path, kept: Sequence[str]) -> None:
    """Refuse to replace a file with changes, other than in kept keys, of the recipe that it is nearest to."""
    stays = tuple(f"{key}." for key in kept)
    found = [find_differences(_merged(name), _read_tree(path)) for name in _find_names()]
    changes = min(([key for key, *_ in keys if not f"{key}.".startswith(stays)] for keys in found), key=len)
    if changes:
        more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
        raise UserError(
            f"{path}: has your own changes at {', '.join(changes[:SHOWN])}{more} (see `t2v recipe diff`); name those "
            "to keep (--keep dataset,filter.categories), or repeat with --force, which discards them"
        )


def _find_own_comments(text: str, new: str) -> dict[str, list[str]]:
    """Dotted key -> the comments at or above it that are in no recipe, not in the defaults and not in the new text."""
    known = {found for path in (DEFAULTS, *FOLDER.glob("*.yaml")) for found in _list_comments(read_text(path))}
    known.update(_list_comments(new))
    comments: dict[str, list[str]] = {}
    above: list[str] = []
    for line, key in [*_read_keys(text), ("", END)]:
        above += [comment for comment in _list_comments(line) if comment not in known]
        if key and above:
            comments.setdefault(key, []).extend(above)
            above = []
    return comments


def _list_comments(text: str) -> list[str]:
    return [found[1].strip() for line in text.split("\n") if (found := COMMENT.fullmatch(line))]


def _read_keys(text: str) -> Iterator[tuple[str, str]]:
    """The lines of params, each with its dotted key; empty for lines without one."""
    above: list[tuple[int, str]] = []
    for line in text.removesuffix("\n").split("\n"):
        found = KEY.match(line)
        if found:
            above = [(indent, name) for indent, name in above if indent < len(found[1])] + [(len(found[1]), found[2])]
        yield line, ".".join(name for _, name in above) if found else ""


def find_differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Dotted key, old value and new value of all keys whose values differ, in the order of `old`."""
    for key in [*old, *(key for key in new if key not in old)]:
        one, other = old.get(key, ABSENT), new.get(key, ABSENT)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from find_differences(one, other, f"{path}{key}.")
        elif one != other or type(one) is not type(other):
            yield f"{path}{key}", show_value(one), show_value(other)


def _merged(name: str) -> Any:
    tree = _read_tree(DEFAULTS)
    merge(tree, _read_tree(_locate(name)))
    return tree


def _find_names() -> list[str]:
    """The recipes of this project, defaults first."""
    names = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if not names:
        raise UserError(f"{FOLDER}: no recipes in {Path.cwd()}; run this in the project folder")
    return sorted(names, key=lambda name: name != DEMO)


def _locate(name: str) -> Path:
    names = _find_names()
    if name not in names:
        hint = suggest_name(name, names) or f"; recipes: {', '.join(names)}"
        raise UserError(f"{name}: no such recipe{hint}")
    return FOLDER / f"{name}.yaml"


def _read_head(name: str) -> list[str]:
    """The comment lines at the start of a recipe, which describe it."""
    lines = read_text(_locate(name)).splitlines()
    count = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:count] or [f"# {name}"]


def _read_tree(path: Path) -> Any:
    tree = read_yaml(path) or {}
    if not isinstance(tree, dict):
        raise UserError(f"{path}: has no keys with values; see {FOLDER}/{DEMO}.yaml and params.yaml")
    return tree
