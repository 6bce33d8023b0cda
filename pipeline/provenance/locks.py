"""DVC's lock files and cache, read without DVC.

Used to find the stages of an output, outputs that have changed, and models by digest.
"""

import configparser
import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from pipeline.errors import UserError, describe_fault
from pipeline.files import digest_file
from pipeline.records import GENERATOR, GRAPHS, find_model_files
from pipeline.repository import git, list_settings, refuse_settings

LOCKS = ("dvc.lock", "*/dvc.lock", "*/*/dvc.lock")  # of the graph, and of folders with their own dvc.yaml
# A value in DVC's config: quoted, or up to a comment.
SETTING = re.compile(r"""(?P<quote>["'])(?P<quoted>.*)(?P=quote)\s*(#.*)?|(?P<bare>[^#]*?)\s*(#.*)?""", re.DOTALL)
FOLDER = ".dir"  # suffix of the digest of a folder

MODEL_FOLDER = "data/model"
GRAPH_FOLDER = f"data/{GRAPHS}"  # beside that of the model
LOCKED = {path: re.compile(rf"path: {path}\n\s+hash: md5\n\s+md5: (\w+\.dir)") for path in (MODEL_FOLDER, GRAPH_FOLDER)}


@dataclass(frozen=True)
class Step:
    """The last run of a stage: MD5 by path relative to the root, and values of params by dotted key."""

    name: str
    address: str  # in commands of `dvc`: the name, or of a dvc.yaml in a folder `data/demo/dvc.yaml:draw`
    command: str
    deps: Mapping[str, str]
    outs: Mapping[str, str]
    params: Mapping[str, Any]


def read_steps(root: Path) -> list[Step]:
    """The stages in all lock files of a project, possibly none. Raises UserError for an invalid lock file."""
    steps: list[Step] = []
    for path in (path for pattern in LOCKS for path in sorted(root.glob(pattern))):
        try:
            steps += _read_lock(path, root)
        except (AttributeError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: not a lock file of DVC ({describe_fault(error)}); `git checkout {quote(str(path))}`"
            ) from None
    return steps


def _read_lock(path: Path, root: Path) -> Iterator[Step]:
    stages = _read_yaml(path).get("stages") or {}
    graph = _read_yaml(path.with_suffix(".yaml")).get("stages") or {}
    for name, stage in stages.items():
        folder = path.parent / (graph.get(name) or {}).get("wdir", ".")
        deps, outs = (
            {_relate(folder / entry["path"], root): entry["md5"] for entry in stage.get(kind) or [] if "md5" in entry}
            for kind in ("deps", "outs")
        )
        params = {key: value for values in (stage.get("params") or {}).values() for key, value in values.items()}
        within = _relate(path.parent, root)
        address = name if within == "." else f"{within}/{path.with_suffix('.yaml').name}:{name}"
        yield Step(name, address, stage.get("cmd", ""), deps, outs, params)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML ({error}); `git checkout {quote(str(path))}`") from None
    return tree if isinstance(tree, dict) else {}


def _relate(path: Path, root: Path) -> str:
    """The path relative to the root, if it is inside it."""
    whole, base = path.resolve(), root.resolve()
    return whole.relative_to(base).as_posix() if whole.is_relative_to(base) else path.as_posix()


def find_makers(path: Path, steps: Sequence[Step], root: Path) -> list[Step]:
    """The stages with an output that is, or contains, this file or folder."""
    resolved = path.resolve()
    return [step for step in steps if any(resolved.is_relative_to((root / out).resolve()) for out in step.outs)]


def find_cache(root: Path) -> Path:
    """The folder in which DVC stores files by MD5."""
    folder = root / ".dvc" / "cache"
    for path in list_settings(root / ".dvc"):
        config = configparser.ConfigParser(strict=False, interpolation=None)
        try:
            config.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise refuse_settings(path, error) from None
        if found := SETTING.fullmatch(config.get("cache", "dir", fallback="")):
            setting = found["quoted"] or found["bare"]
            folder = path.parent / Path(setting).expanduser() if setting else folder
    return folder / "files" / "md5"


def quote_setting(path: str | Path) -> str:
    """A quoted path for DVC's config, in which `#` starts a comment and a comma separates list items."""
    return f"'{path}'" if '"' in str(path) else f'"{path}"'


def locate(cache: Path, digest: str) -> Path:
    """The path in the cache of a file, or of the list of a folder."""
    return cache / digest[:2] / digest[2:]


def list_folder(cache: Path, digest: str) -> dict[str, str] | None:
    """MD5 of the files of a cached folder by relative path; None if the cache does not have its list."""
    try:
        entries = json.loads(locate(cache, digest).read_bytes())
        return {entry["relpath"]: entry["md5"] for entry in entries}
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def digest_md5(path: Path) -> str:
    """The MD5 of a file, as DVC computes it."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def digest_folder(files: Mapping[str, str]) -> str:
    """The MD5 of a folder from those of its files, as DVC computes it."""
    entries = [
        {"md5": digest, "relpath": name} for name, digest in sorted(files.items(), key=lambda item: item[0].split("/"))
    ]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + FOLDER


def check_outputs(steps: Sequence[Step], root: Path, within: Sequence[Path]) -> tuple[int, dict[str, str]]:
    """Hash the outputs of stages in any of these folders, and their copies in the cache.

    -> the number of files that match the lock files, and for each other one, by path, the fault and a remedy. An output
    that is absent as a whole, as before `dvc pull`, is neither.
    """
    cache, whole = find_cache(root), 0
    faults: dict[str, str] = {}
    for step in steps:
        for path, digest in step.outs.items():
            output = (root / path).resolve()
            if any(output.is_relative_to(top.resolve()) or top.resolve().is_relative_to(output) for top in within):
                good, bad = _check_output(root, path, digest, cache, step.address)
                whole, faults = whole + good, faults | bad
    return whole, faults


def _check_output(root: Path, path: str, digest: str, cache: Path, stage: str) -> tuple[int, dict[str, str]]:
    output = root / path
    files = {path: digest}
    if digest.endswith(FOLDER):
        names = list_folder(cache, digest)
        if names is None:
            return _check_uncached(output, path, digest)
        files = {f"{path}/{name}": md5 for name, md5 in names.items()}
    found = {name: _check_file(root / name, name, md5, cache, stage) for name, md5 in files.items()}
    there = {name for name in files if (root / name).is_file()}
    if output.is_dir():
        own = {f"{path}/{file.relative_to(output).as_posix()}" for file in output.rglob("*") if file.is_file()}
        more = f"is not in the lock file; remove it, or run `dvc repro {quote(stage)}`"
        found |= {name: found.get(name) or _tell_absent(name, stage) for name in files.keys() - there}
        found |= dict.fromkeys(own - files.keys(), more)
    return sum(not found[name] for name in there), {name: fault for name, fault in sorted(found.items()) if fault}


def _check_uncached(folder: Path, path: str, digest: str) -> tuple[int, dict[str, str]]:
    """Check a folder whose list is not in the cache: it can only be compared as a whole."""
    files = {file.relative_to(folder).as_posix(): digest_md5(file) for file in folder.rglob("*") if file.is_file()}
    if not folder.is_dir() or digest_folder(files) == digest:
        return len(files), {}
    fetch = f"`dvc fetch {quote(path)}`"
    return 0, {path: f"differs from the lock file, and the cache has no list of its files; {fetch}"}


def _tell_absent(name: str, stage: str) -> str:
    return f"is absent; `dvc checkout {quote(name)}`, or `dvc repro {quote(stage)}`"


def _check_file(file: Path, name: str, digest: str, cache: Path, stage: str) -> str | None:
    """What is wrong with a file in the workspace or its cached copy; None if both match the lock or are missing."""
    kept = locate(cache, digest)
    here = file.is_file() and digest_md5(file) != digest
    linked = file.is_file() and kept.is_file() and file.samefile(kept)
    spoilt = kept.is_file() and (here if linked else digest_md5(kept) != digest)
    if spoilt:
        how = "through its link, and the cache with it" if linked else "in the cache"
        shown = kept.relative_to(Path.cwd()) if kept.is_relative_to(Path.cwd()) else kept
        return (
            f"changed {how}; `dvc checkout` would bring the changed bytes back and `dvc push` upload them. "
            f"rm -f {quote(str(shown))} {quote(name)}, then `dvc pull {quote(name)}` where a remote has it, or "
            f"`dvc repro -f {quote(stage)}`"
        )
    return f"differs from the lock file; `dvc checkout --force {quote(name)}`" if here else None


@contextmanager
def open_model(digest: str | None, folder: Path | None) -> Iterator[Path]:
    """Yield the folder of the model whose weights have this digest. Raises UserError if it is not found.

    Only `folder` is searched if it is given, otherwise data/model, then models of all commits and experiments in the
    cache. Without a digest, `folder` or data/model is used.
    """
    here = folder or Path(MODEL_FOLDER)
    weights = find_model_files(here).weights
    own = digest_file(weights) if weights.is_file() else ""
    if own and digest in (None, own):
        yield here
        return
    if digest is None or (folder is not None and not own):
        raise UserError(f"{weights}: no such file; give the folder of the model with --model")
    if folder is not None:
        raise UserError(
            f"made by the model {digest[:12]}, but {folder} has {own[:12]}; give the right folder with --model"
        )
    for files in _list_cached_models(Path.cwd()):
        weights = files.get(f"{MODEL_FOLDER}/{GENERATOR}", Path())
        if weights.is_file() and _digest_cached(weights) == digest:
            with TemporaryDirectory() as temporary:
                for name, path in files.items():
                    (Path(temporary) / name).parent.mkdir(parents=True, exist_ok=True)
                    (Path(temporary) / name).symlink_to(path.resolve())
                yield Path(temporary) / MODEL_FOLDER
            return
    raise UserError(
        f"made by the model {digest[:12]}, which is neither {MODEL_FOLDER} nor in the cache under a commit or an "
        "experiment; give its folder with --model, or `dvc fetch --all-commits` first"
    )


@functools.cache
def _list_cached_models(root: Path) -> list[dict[str, Path]]:
    """The cached files of all models, and their ONNX graphs, in lock files of any commit, branch or experiment.

    Newest first; each is a mapping from paths in the project to paths in the cache.
    """
    cache = find_cache(root)
    found: list[dict[str, Path]] = []
    for locked in dict.fromkeys(tuple(digests.items()) for digests, _ in list_locked_models(root)):
        listed = [(path, list_folder(cache, digest) or {}) for path, digest in locked]
        found.append({f"{path}/{name}": locate(cache, md5) for path, files in listed for name, md5 in files.items()})
    return found


_digest_cached = functools.cache(digest_file)  # cached files do not change


def list_locked_models(root: Path) -> Iterator[tuple[dict[str, str], str]]:
    """The MD5 of the folders of a model and its graph, and the commit of the lock file, newest first."""
    for commit in git("log", "--all", "--full-history", "--format=%H", "--", "dvc.lock", folder=root).stdout.split():
        text = git("show", f"{commit}:./dvc.lock", folder=root).stdout
        digests = {path: found[1] for path, pattern in LOCKED.items() if (found := pattern.search(text))}
        if MODEL_FOLDER in digests:
            yield digests, commit
