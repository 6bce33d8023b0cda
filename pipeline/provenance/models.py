"""The folder of the model that a file names, here or in the cache of DVC under any commit or experiment."""

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.errors import UserError
from pipeline.files import digest_file
from pipeline.model_files import GENERATOR, GRAPHS, find_model_files
from pipeline.provenance.locks import find_cache, list_folder, locate
from pipeline.repository import git

FOLDER = "data/model"
GRAPH_FOLDER = f"data/{GRAPHS}"  # lies beside that of the model
LOCKED = {path: re.compile(rf"path: {path}\n\s+hash: md5\n\s+md5: (\w+\.dir)") for path in (FOLDER, GRAPH_FOLDER)}


@contextmanager
def open_model(digest: str | None, folder: Path | None) -> Iterator[Path]:
    """The folder of the model whose weights have this digest; only `folder` counts, if it or no digest is given.

    Otherwise data/model, then those of all commits and experiments in the cache. Raises UserError for none.
    """
    here = folder or Path(FOLDER)
    weights = find_model_files(here).weights
    own = digest_file(weights) if weights.is_file() else ""
    if own and digest in (None, own):
        yield here
        return
    if digest is None or (folder is not None and not own):
        raise UserError(f"{weights}: no such file; name the folder of the model by --model")
    if folder is not None:
        raise UserError(f"made by the model {digest[:12]}, but {folder} holds {own[:12]}; name the other by --model")
    for files in list_cached_models(Path.cwd()):
        weights = files.get(f"{FOLDER}/{GENERATOR}", Path())
        if weights.is_file() and _digest_cached(weights) == digest:
            with TemporaryDirectory() as temporary:
                for name, path in files.items():
                    (Path(temporary) / name).parent.mkdir(parents=True, exist_ok=True)
                    (Path(temporary) / name).symlink_to(path.resolve())
                yield Path(temporary) / FOLDER
            return
    raise UserError(
        f"made by the model {digest[:12]}, which is neither {FOLDER} nor in the cache under a commit or an experiment; "
        "name its folder by --model, or `dvc fetch --all-commits` first"
    )


@functools.cache
def list_cached_models(root: Path) -> list[dict[str, Path]]:
    """The files of each model that a lock file of any commit, branch or experiment names, and of its graph.

    The newest first, each file by its path in the project.
    """
    cache = find_cache(root)
    found: list[dict[str, Path]] = []
    for locked in dict.fromkeys(tuple(digests.items()) for digests, _ in list_locked_models(root)):
        listed = [(path, list_folder(cache, digest) or {}) for path, digest in locked]
        found.append({f"{path}/{name}": locate(cache, md5) for path, files in listed for name, md5 in files.items()})
    return found


_digest_cached = functools.cache(digest_file)  # a cached file keeps its bytes


def list_locked_models(root: Path) -> Iterator[tuple[dict[str, str], str]]:
    """MD5 of the folders of a model and its graph, and the commit whose lock file names them, the newest first."""
    for commit in git("log", "--all", "--format=%H", "--", "dvc.lock", folder=root).stdout.split():
        text = git("show", f"{commit}:./dvc.lock", folder=root).stdout
        digests = {path: found[1] for path, pattern in LOCKED.items() if (found := pattern.search(text))}
        if FOLDER in digests:
            yield digests, commit
