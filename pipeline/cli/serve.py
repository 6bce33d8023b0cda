"""`t2v serve`: serves the page of a run over HTTP, and clips of its model for any caption."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[str, typer.Option(help="127.0.0.1: this machine alone; 0.0.0.0: all its networks")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")] = 8765,
    model: Annotated[Path, typer.Option(help="folder of a trained or an exported model")] = Path("data/model"),
    page: Annotated[Path, typer.Option(help="the page of the run")] = Path("data/report/index.html"),
    exact: Annotated[bool, typer.Option("--exact", help="draw by torch also where an ONNX graph would do")] = False,
) -> None:
    """Serve the page of a run, and clips of any caption, also of models that are too large for the page.

    Ctrl-C ends it. There is no login: everyone who reaches the address can draw.

    Example: t2v serve --port 9000
    """
    from pipeline.sampling import VideoModel
    from pipeline.serving import ClipRenderer, Server

    with Server(host, port, ClipRenderer(VideoModel(model, exact=exact)), page) as server:
        missing = "" if page.is_file() else f"{page} is not there, `dvc repro report` makes it; "
        print(f"{missing}{server.address} shows the run, {server.address}draw draws clips; Ctrl-C ends it", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")
