"""`t2v sample` and `t2v serve`: clips for any caption, in a file or over HTTP."""

import hashlib
import json
import math
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import UserError
from pipeline.files import atomic_write

if TYPE_CHECKING:
    from pipeline.records import Progress

MADE_BY = "pipeline.cli.sample"

ROOT = Path(__file__).parents[2]
# Limits of options; `t2v reproduce` refuses files with larger values.
MAX_SEED = 2**63 - 1
MAX_GUIDANCE = 1000
MAX_STEPS = 4096
MAX_SCALE = 64
MAX_FPS = 100  # as for render.fps: GIFs have a resolution of 0.01 s
FEW = 16  # clips generated in one pass, without a progress bar
FILMS = (".gif", ".mp4")  # with all frames, enlarged
COPIES = 3  # of the frames in memory: generated, in the grid, and in the encoder
SURELY_THERE = 1 << 30  # bytes, below which free memory is not checked
MEMO = ROOT / ".dvc" / "tmp" / "makers.json"

Guidance = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=MAX_GUIDANCE,
        help="flow models only: classifier-free guidance scale; 1: none [default: that of its export, or else 1]",
    ),
]


OutOption = Annotated[
    Path,
    typer.Option(
        "-o", "--out", help="output file; the extension selects the format: .gif, .mp4, .png (film strips), .npz"
    ),
]
StepsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_STEPS,
        help="flow models only: sampling steps [default: those of its export, or else of its training]",
    ),
]


ScaleOption = Annotated[
    int,
    typer.Option(
        min=1, max=MAX_SCALE, help="output pixels per pixel of a clip in a .gif or .mp4; at most as many in a .png"
    ),
]


def sample(
    caption: Annotated[str, typer.Argument(help='such as "pushing a mug from left to right"')],
    out: OutOption,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="seed of the noise; the same seed gives the same clips")
    ] = 0,
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="number of clips")] = 4,
    model: Annotated[Path, typer.Option(help="folder of a trained model")] = Path("data/model"),
    steps: StepsOption = None,
    guidance: Guidance = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="use torch even if an ONNX graph is available, as the stages do")
    ] = False,
    scale: ScaleOption = 4,
    fps: Annotated[int, typer.Option(min=1, max=MAX_FPS, help="frames per second of a .gif or .mp4")] = 8,
) -> None:
    """Sample clips for a caption; an npz holds `frames`, uint8 [N,T,H,W,3].

    Example: t2v sample "pushing a mug from left to right" --seed 1 -o mug.gif
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy multiplies no matrices here; threads delay the start
    from pipeline.rendering.export import check_ending
    from pipeline.sampling import VideoModel, write_clips

    check_ending(out)
    video_model = VideoModel(model, exact=exact, steps=steps, guidance=guidance)
    typed = video_model.encode(caption)
    if typed.unknown:
        print(f"warning: the model has never seen {', '.join(typed.unknown)}", file=sys.stderr)
    _require_memory(out, n, scale, video_model.shape)
    with _find_progress(n)("clips", n) as advance:
        frames = video_model.draw(typed, seed, n, advance)
    provenance = video_model.provenance(typed) | describe_command()
    write_clips(out, frames, caption, seed, scale=scale, fps=fps, provenance=provenance)
    print(f"{out}: {n} {'clip' if n == 1 else 'clips'} of {caption!r}")


def _find_progress(n: int) -> "Progress":
    """No progress for few clips, which take one pass: importing rich takes as long."""
    if n > FEW:
        from pipeline.monitoring import progress

        return progress
    from pipeline.records import no_progress

    return no_progress


def _require_memory(out: Path, n: int, scale: int, shape: tuple[int, int, int, int]) -> None:
    """Raises UserError if the clips, or the grid of them, do not fit into free memory."""
    clips, enlarged = n * math.prod(shape), scale**2 if out.suffix.lower() in FILMS else 1
    needed = COPIES * clips * enlarged
    if needed < SURELY_THERE:
        return
    import torch  # takes seconds

    from pipeline.data.loading import measure_free_memory

    free = measure_free_memory(torch.device("cpu"))
    if needed > free:
        way_out = "lower --n (another --seed gives other clips)" + (", or --scale" if enlarged > 1 else "")
        detail = f"{n} {'clip' if n == 1 else 'clips'}" + (f" at --scale {scale}" if enlarged > 1 else "")
        raise UserError(
            f"{out}: {detail} take about {needed / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} GB are free; {way_out}"
        )


def describe_command() -> dict[str, str]:
    """`pipeline.source_code.describe_maker`, cached until the code changes: hashing it takes as long as sampling."""
    key = f"{MADE_BY} {version('t2v')} {_sign_code()}"
    try:
        memo = json.loads(MEMO.read_bytes())
        if memo["key"] == key and memo["maker"].keys() == {"made_by", "code", "version"}:
            return {part: str(value) for part, value in memo["maker"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # no cache yet, or an invalid one
        pass
    from pipeline.source_code import describe_maker

    maker = describe_maker(MADE_BY)
    if MEMO.parents[1].is_dir():
        try:
            with atomic_write(MEMO) as temporary:
                temporary.write_text(json.dumps({"key": key, "maker": maker}), encoding="utf-8")
        except PermissionError:  # the project is read-only
            pass
    return maker


def _sign_code() -> str:
    """A signature of the code: paths, sizes and modification times."""
    digest = hashlib.sha256()
    for path in sorted(path for top in ("pipeline", "stages") for path in (ROOT / top).rglob("*.py")):
        state = path.stat()
        digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def serve(
    host: Annotated[
        str, typer.Option(help="address to listen on; 127.0.0.1: this machine only; 0.0.0.0: all its networks")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port")] = 8765,
    model: Annotated[Path, typer.Option(help="folder of a trained or an exported model")] = Path("data/model"),
    page: Annotated[Path, typer.Option(help="report of the run")] = Path("data/report/index.html"),
    exact: Annotated[bool, typer.Option("--exact", help="use torch even if an ONNX graph is available")] = False,
) -> None:
    """Serve the report of a run, and clips for any caption, even from models that are too large for the report.

    Ctrl-C stops it. There is no login: everyone who can reach the address can request clips.

    Example: t2v serve --port 9000
    """
    from pipeline.sampling import VideoModel
    from pipeline.serving import ClipRenderer, Server

    video_model = VideoModel(model, exact=exact)
    video_model.load_words()  # a fault is told here, not to those who type captions: it names local paths
    renderer = ClipRenderer(video_model, made_by=describe_command())  # `t2v reproduce` makes its files again
    with Server(host, port, renderer, page) as server:
        shown = f"report: {server.address}" if page.is_file() else f"no {page} (run `dvc repro report`)"
        print(f"{shown}, generate clips: {server.address}generate; Ctrl-C stops the server", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            renderer.close()  # to end while torch computes aborts the process
            print("stopped")
