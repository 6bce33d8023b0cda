"""Code statistics: modules, their lengths and importers, and the files that one penalised training step runs.

`python tools/code_stats.py` from the project's folder; everything is counted anew, nothing is written.
"""

import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from pipeline.data.dataset import Batch  # noqa: E402
from pipeline.distributed import Rank  # noqa: E402
from pipeline.params import Params, load_params  # noqa: E402
from pipeline.source_code import modules, read_imports  # noqa: E402
from pipeline.training.loop import Run, Trainer  # noqa: E402

LAYERS = "pipeline/models/"  # the networks' own layers: a reader of the step may take them as given
WORDS, TOKENS = 20, 6  # of the made-up captions


class MadeUpClips:
    """A split of random clips, in place of one that is read from shards."""

    def __init__(self, params: Params, count: int) -> None:
        self._shape, self._count = params.clip, count
        self.source = SimpleNamespace(waited=0.0)

    def __len__(self) -> int:
        return self._count

    def batch(self, rows: object, z_width: int, share: slice, opposites: float = 0.0) -> Batch:  # noqa: ARG002
        """As many random clips as the share has."""
        shape, count = self._shape, share.stop - share.start
        frames = torch.randint(256, (count, shape.frames, shape.height, shape.width, 3), dtype=torch.uint8)
        own, other = (torch.randint(2, WORDS, (count, TOKENS)) for _ in range(2))
        return Batch(frames, own, other, torch.randn(count, z_width))


def read_params() -> Params:
    """The params of the project with a small batch of small clips, penalised by R1 alone in every step."""
    params = load_params(ROOT / "params.yaml")
    train = params.train.model_copy(update={"batch_clips": 4, "penalties": {"r1": 1.0}, "penalty_every": 1})
    clip = params.clip.model_copy(update={"frames": 8, "height": 16, "width": 16})
    return params.model_copy(update={"train": train, "clip": clip})


def trace_step(params: Params) -> Counter[str]:
    """The files of this project that a step of the real trainer runs, with the number of calls in each."""
    clips = MadeUpClips(params, 8)
    run = Run(params.seed, params.clip, params.train, WORDS)
    trainer = Trainer(Rank(0, 1, torch.device("cpu")), run, clips)  # type: ignore[arg-type]
    trainer._take_step()  # what is found once and kept, such as names of losses, is not part of every step
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT / "pipeline"):
            calls[path.relative_to(ROOT).as_posix()] += 1

    sys.setprofile(note)
    try:
        trainer._take_step()
    finally:
        sys.setprofile(None)
    return calls


def find_single_importers(names: dict[str, Path]) -> dict[str, str]:
    """Modules that one other module alone imports: module -> that importer."""
    importers = {
        name: [other for other, path in names.items() if other != name and name in read_imports(path)] for name in names
    }
    return {name: found[0] for name, found in importers.items() if len(found) == 1}


def read_recipes(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Each kind of extension on the page and the files that its section makes or changes, as its code blocks say."""
    if not page.exists():
        return
    for section in page.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        blocks = re.findall(r"^```\w+\n#\s*(\S+/\S+\.\w+|params\.yaml)", body, re.MULTILINE)
        if blocks:
            yield title, list(dict.fromkeys(blocks))


def count_lines(path: Path) -> int:
    """Lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def main() -> None:
    """Print all counts."""
    names = modules()
    paths = {path: count_lines(path) for path in names.values()}
    inner = {path: count for path, count in paths.items() if path.name != "__init__.py"}
    print(f"modules in pipeline/ and stages/: {len(paths)}, without __init__.py: {len(inner)}")
    largest = max(inner, key=lambda path: inner[path])
    print(
        f"lines per module: median {statistics.median(inner.values()):g}, most {inner[largest]} ({show_path(largest)})"
    )
    single = {name: by for name, by in find_single_importers(names).items() if names[name].name != "__init__.py"}
    print(f"modules with a single importer: {len(single)}")
    for name, by in sorted(single.items()):
        print(f"  {name} <- {by}")
    calls = trace_step(read_params())
    followed = sorted(name for name in calls if not name.startswith(LAYERS))
    layers = sorted(name for name in calls if name.startswith(LAYERS))
    print(f"files to follow one R1-penalised step: {len(followed)}")
    for name in followed:
        print(f"  {name} ({calls[name]} calls)")
    print(f"layers of the networks, not counted: {len(layers)}")
    for name in layers:
        print(f"  {name} ({calls[name]} calls)")
    for title, files in read_recipes(ROOT / "docs" / "extending.md"):
        print(f"files to edit, {title}: {len(files)}: {', '.join(files)}")


def show_path(path: Path) -> str:
    """The path within the project."""
    return path.relative_to(ROOT).as_posix()


if __name__ == "__main__":
    main()
