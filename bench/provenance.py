"""Reproduces 100 files of 20 models, and verifies 100 signed files, 20 of them altered: python -m bench.provenance.

Each model is that of --model with perturbed weights, locked by a separate commit in a temporary repository with a
cache, as 20 experiments would be. Prints the results and seconds.
"""

import contextlib
import io
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import imageio_ffmpeg
import numpy as np
import typer
from safetensors.numpy import load_file, save_file

from pipeline.cli.sample import sample
from pipeline.cli.verify import reproduce, sign, verify
from pipeline.errors import run
from pipeline.files import digest_file
from pipeline.provenance.locks import digest_folder, digest_md5, find_cache, locate
from tests.certificates import make_signer

KINDS = ("png", "gif", "mp4", "gif", "png")
LOCK = "stages:\n  train:\n    outs:\n    - path: data/model\n      hash: md5\n      md5: {}\n"
ALTERED = 20  # percent


def make_models(source: Path, count: int) -> Iterator[Path]:
    """Yield data/model with different weights each time, stored in the cache and in a separate commit."""
    rng, folder = np.random.default_rng(17), Path("data/model")
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    for number in range(count):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder)
        weights = load_file(folder / "generator.safetensors")
        changed = {name: (w * rng.normal(1, 1e-2, w.shape)).astype(w.dtype) for name, w in weights.items()}
        save_file(changed, folder / "generator.safetensors")
        _keep(folder)
        subprocess.run([*git, "add", "dvc.lock"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--message", f"experiment {number}"], check=True)
        yield folder


def _keep(folder: Path) -> None:
    """Store a folder in the cache and the lock file, as DVC does."""
    cache, files = find_cache(Path()), {path.name: digest_md5(path) for path in folder.iterdir()}
    for name, md5 in files.items():
        _copy((folder / name).read_bytes(), locate(cache, md5))
    digest = digest_folder(files)
    entries = [{"md5": md5, "relpath": name} for name, md5 in sorted(files.items())]
    _copy(json.dumps(entries).encode(), locate(cache, digest))
    Path("dvc.lock").write_text(LOCK.format(digest), encoding="utf-8")


def _copy(data: bytes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def alter(path: Path, number: int, rng: np.random.Generator) -> None:
    """Flip one bit, re-encode with ffmpeg keeping the comment, or sign with another key, in turn."""
    data = bytearray(path.read_bytes())
    if number % 3 == 0:
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
    elif number % 3 == 1:
        former = path.rename(path.with_name(f"former-{path.name}"))
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", "-i", former, "-map_metadata", "0", path]
        subprocess.run([*map(str, command)], check=True)
        former.unlink()
    else:
        other = make_signer(Path("others"), f"other {number}")
        sign(path, path, other.chain, other.key)


def print_time(name: str, work: Callable[[], None]) -> list[str]:
    """Call `work` and print its duration -> the lines that it printed."""
    start, printed = time.perf_counter(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(typer.Exit):
        work()
    print(f"{name}: {time.perf_counter() - start:.0f} s")
    return printed.getvalue().splitlines()


def main(
    model: Annotated[Path, typer.Option(help="folder of a trained model")] = Path("data/model"),
    models: int = 20,
    caption: str = "pushing a mug from left to right",
) -> None:
    """Generate, reproduce, sign, alter and verify."""
    model, made = model.resolve(), Path("made")
    with TemporaryDirectory() as temporary, contextlib.chdir(temporary):
        for number, folder in enumerate(make_models(model, models)):
            for seed, kind in enumerate(KINDS):
                with contextlib.redirect_stdout(io.StringIO()):
                    sample(caption, made / f"{number:02}-{seed}.{kind}", seed=seed, n=1, model=folder)
        kept = {path.name: digest_file(path) for path in made.iterdir()}
        lines = print_time("reproduced", lambda: reproduce([made], out=Path("again")))
        equal = sum(digest_file(Path("again") / name) == digest for name, digest in kept.items())
        print(f"{equal} of {len(kept)} have equal bytes ({sum(line.endswith('equal') for line in lines)} reported so)")
        ours, rng = make_signer(Path("ours"), "ours"), np.random.default_rng(5)
        for path in sorted(made.iterdir()):
            with contextlib.redirect_stdout(io.StringIO()):
                sign(path, Path("shown") / path.name, ours.chain, ours.key)
        shown = sorted(Path("shown").iterdir())
        chosen = [shown[place] for place in rng.permutation(len(shown))[: len(shown) * ALTERED // 100]]
        for number, path in enumerate(chosen):
            with contextlib.redirect_stdout(io.StringIO()):
                alter(path, number, rng)
        lines = print_time("verified", lambda: verify([Path("shown")], trust=ours.root))
        found = {line.split(": ")[0] for line in lines[:-1]}
        expected = {str(path) for path in chosen}
        print(f"{len(found & expected)} of {len(expected)} altered files found, {len(found - expected)} false alarms")
        print(lines[-1])


if __name__ == "__main__":
    run(main)
