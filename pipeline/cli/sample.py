"""`t2v sample`: a caption that someone types -> clips in a file."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

MADE_BY = "pipeline.cli.sample"


def sample(
    caption: Annotated[str, typer.Argument(help='what happens: "pushing a mug from left to right"')],
    out: Annotated[Path, typer.Option("-o", "--out", help="by its ending: gif, mp4, png (film strips) or npz")],
    seed: Annotated[int, typer.Option(min=0, help="names the noise: equal seeds give equal clips")] = 0,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="how many clips")] = 4,
    model: Annotated[Path, typer.Option(help="folder of a trained model")] = Path("data/model"),
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="of a model trained by flow: from noise to a clip; else as in training"),
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0, help="of a model trained by flow: how far the caption counts; 1: as learned")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="draw by torch also where an ONNX graph would do, as stages do")
    ] = False,
    scale: Annotated[int, typer.Option(min=1, help="pixels in the picture per pixel of a clip")] = 4,
    fps: Annotated[int, typer.Option(min=1, help="frames per second of a gif or mp4")] = 8,
) -> None:
    """Sample clips for a caption; an npz holds `frames`, uint8 [N,T,H,W,3].

    Example: t2v sample "pushing a mug from left to right" --seed 1 -o mug.gif
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy multiplies no matrix here, and its threads cost a start
    from pipeline.cli.maker import describe_command
    from pipeline.rendering.export import check_ending
    from pipeline.sampling import VideoModel, write_clips

    check_ending(out)
    video_model = VideoModel(model, exact=exact, steps=steps, guidance=guidance)
    typed = video_model.encode(caption)
    if typed.unknown:
        print(f"warning: the model has never seen {', '.join(typed.unknown)}", file=sys.stderr)
    frames = video_model.draw(typed, seed, n)
    provenance = video_model.provenance(typed) | describe_command(MADE_BY)
    write_clips(out, frames, caption, seed, scale=scale, fps=fps, provenance=provenance)
    print(f"{out}: {n} clips of {caption!r}")
