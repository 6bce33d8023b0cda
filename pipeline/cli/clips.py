"""`t2v clips inspect`: what is in a folder of shards, in tables, as JSON, and as a sheet of film strips."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.cli.clips_figures import Figures, drop_figures, folder_figures, label_figures, read_labels, sample_figures
from pipeline.cli.clips_sheet import choose_cards, write_sheet
from pipeline.cli.clips_tables import show
from pipeline.errors import UserError
from pipeline.shards import ShardReader

app = typer.Typer(no_args_is_help=True, help="Look into the shards that `transcode` wrote.")


@app.callback()
def clips() -> None:
    """Look into the shards that `transcode` wrote."""


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(metavar="PATH", help="a folder of shards with its index.json")],
    labels: Annotated[
        Path | None, typer.Option(help="what `filter` wrote; else the folder `labels` beside PATH, where there is one")
    ] = None,
    sheet: Annotated[Path | None, typer.Option(help="write a contact sheet here, a png")] = None,
    per_category: Annotated[int, typer.Option(min=1, help="clips of each category on the sheet")] = 6,
    verify: Annotated[bool, typer.Option("--verify", help="read every shard and compare its digest")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print everything as JSON, for machines")] = False,
) -> None:
    """Count the clips, say what was left out and why, and what the frames look like."""
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise UserError(f"{sheet}: the sheet is a picture; give it a name that ends with .png")
    shards = ShardReader(folder)
    if verify:
        shards.verify()
    if labels is None and (folder.resolve().parent / "labels" / "clips.parquet").is_file():
        labels = folder.resolve().parent / "labels"
    chosen = read_labels(labels) if labels else {}
    dropped = {"filter": drop_figures(labels) if labels else {}, "transcode": drop_figures(folder)}
    figures: Figures = folder_figures(folder, shards) | {"verified": verify, "dropped": dropped}
    figures |= {"labels": label_figures(shards, chosen) if labels else None, "sample": sample_figures(shards)}
    if as_json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    else:
        show(figures, Console())
    if sheet is not None:
        parts = choose_cards(shards, chosen, per_category)
        write_sheet(sheet, parts, shards)
        print(f"{sheet}: {sum(len(part.cards) for part in parts)} clips", file=sys.stderr)
