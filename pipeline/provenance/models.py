"""The folder of the model that a file names, here or in the cache of DVC under any commit or experiment."""

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.errors import UserError
from pipeline.files import digest_file
from pipeline.provenance.locks import find_cache, list_folder, locate
from pipeline.repository import git

GENERATOR = "generator.safetensors"
FOLDER = "data/model"
LOCKED = re.compile(rf"path: {FOLDER}\n\s+hash: md5\n\s+md5: (\w+\.dir)")


@contextmanager
def open_model(digest: str | None, folder: Path | None) -> Iterator[Path]:
    """The folder of the model whose weights have this digest; only `folder` counts, if it is given, or without digest.

    Otherwise data/model here, then those of all commits and experiments in the cache. Raises UserError for none.
    """
    if digest is None or folder is not None or _holds(Path(FOLDER), digest):
        folder = folder or Path(FOLDER)
        if not (folder / GENERATOR).is_file():
            raise UserError(f"{folder / GENERATOR}: no such file; name the folder of the model by --model")
        if digest is not None and not _holds(folder, digest):
            own = digest_file(folder / GENERATOR)
            raise UserError(
                f"made by the model {digest[:12]}, but {folder} holds {own[:12]}; name the other by --model"
            )
        yield folder
        return
    for files in list_cached_models(Path.cwd()):
        if GENERATOR in files and files[GENERATOR].is_file() and _digest_cached(files[GENERATOR]) == digest:
            with TemporaryDirectory() as temporary:
                for name, path in files.items():
                    (Path(temporary) / name).symlink_to(path.resolve())
                yield Path(temporary)
            return
    raise UserError(
        f"made by the model {digest[:12]}, which is neither {FOLDER} nor in the cache under a commit or an experiment; "
        "name its folder by --model, or `dvc fetch --all-commits` first"
    )


def _holds(folder: Path, digest: str) -> bool:
    return (folder / GENERATOR).is_file() and digest_file(folder / GENERATOR) == digest


@functools.cache
def list_cached_models(root: Path) -> list[dict[str, Path]]:
    """The files by name of each model that a lock file of any commit, branch or experiment names, the newest first."""
    cache = find_cache(root)
    folders = [list_folder(cache, digest) for digest in dict(list_locked_models(root))]
    return [{name: locate(cache, md5) for name, md5 in files.items()} for files in folders if files]


_digest_cached = functools.cache(digest_file)  # a cached file keeps its bytes


def list_locked_models(root: Path) -> Iterator[tuple[str, str]]:
    """MD5 of a model's folder and the commit whose lock file names it, the newest first."""
    for commit in git("log", "--all", "--format=%H", "--", "dvc.lock", folder=root).stdout.split():
        if found := LOCKED.search(git("show", f"{commit}:./dvc.lock", folder=root).stdout):
            yield found[1], commit
