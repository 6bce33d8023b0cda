"""Videos and the list of clips that `filter` would have chosen from them, for the tests of transcoding."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from made import make_clip
from settings import changed, clip_shape, transcoding
from videos import draw

from pipeline.files import digest_file
from pipeline.params import ClipParams, ComputeParams
from pipeline.records import Clip
from pipeline.tables import write_table
from stages.transcode_clips import transcode_clips

SHAPE = clip_shape(8, 16, 16)
OPTIONS = transcoding(short_clips="drop", shard_format="parquet", shard_clips=4)
LENGTHS = {"7": 24, "10": 30, "9": 8, "8": 7, "31": 12, "30": 40, "5": 24, "6": 25, "4": 26}  # 8 is short


def draw_dataset(folder: Path) -> Path:
    """Nine videos, one of them short, and one that is text: a folder with `videos` and `labels`."""
    (folder / "videos").mkdir()
    for name, frames in LENGTHS.items():
        draw(folder / "videos" / f"{name}.mkv", shape="64x48", frames=frames, vf=f"hue=h={name}0", vcodec="ffv1")
    (folder / "videos" / "1.mkv").write_text("no video")
    write_clips(folder, [choose_clip(folder / "videos" / f"{name}.mkv") for name in [*LENGTHS, "1"]])
    return folder


def draw_beside_plans(folder: Path, names: Sequence[str], planned: Collection[str], plan: str) -> None:
    """Write the named clips and their videos: the plan of an intruder for those planned, honest ones for all others."""
    files = [folder / "videos" / f"{name}.mkv" for name in names]
    for file in files:
        if file.stem in planned:
            file.write_text(plan)
        else:
            draw(file, shape="64x48", frames=24, vcodec="ffv1")
    write_clips(folder, [choose_clip(file) for file in files])


def write_clips(folder: Path, clips: list[Clip]) -> None:
    """Write the list as `filter` does, sorted by id."""
    write_table(folder / "labels" / "clips.parquet", Clip, sorted(clips, key=lambda clip: clip.id))


def choose_clip(path: Path, **values: Any) -> Clip:
    """A chosen clip: the whole of one video."""
    made = make_clip(
        path.stem,
        f"pushing {path.stem} up",
        template="Pushing [something] up",
        objects=(path.stem,),
        video=path.name,
        digest=digest_file(path),
    )
    return replace(made, **values)


def transcode(
    dataset: Path, out: Path, workers: int = 1, shape: ClipParams = SHAPE, backend: str = "processes", **options: Any
) -> dict[str, bytes]:
    """Run the stage -> its files. Its state lies beside `out`, and is gone afterwards."""
    states = out.parent / "states"
    changes = OPTIONS.model_copy(update=options)
    transcode_clips(dataset / "labels", dataset / "videos", out, shape, changes, by(workers, backend), states)
    assert list(states.glob("transcode-*")) == []
    return contents(out)


def by(workers: int, backend: str = "processes") -> ComputeParams:
    """The section `compute`."""
    return changed({"compute": {"backend": backend, "workers": workers}}).compute


def contents(folder: Path) -> dict[str, bytes]:
    """File name within the folder -> bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
