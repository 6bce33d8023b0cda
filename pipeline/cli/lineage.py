"""`t2v lineage`: traces a file or a figure back to params, data and code."""

import json
from pathlib import Path
from typing import Annotated

import typer
import yaml

from pipeline.provenance.lineage import trace_file, trace_metric
from pipeline.provenance.media import read_media


def lineage(
    source: Annotated[str, typer.Argument(metavar="FILE|METRIC", help="a rendered file, or a name in metrics.json")],
    model: Annotated[
        Path | None, typer.Option(help="folder of the model that made the file; else it is looked for")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, for machines")] = False,
) -> None:
    """Say what made a file or a figure: model, params, digests of data and code, machine, and the stages behind it.

    A file tells the most by itself. Lock files and git add the stages and commits, where they are there.

    Example: t2v lineage joint_accuracy
    """
    path = Path(source)
    named = path.suffix or path.exists()
    tree = trace_file(read_media(path), model, Path()) if named else trace_metric(source, Path())
    print(
        json.dumps(tree, indent=2)
        if as_json
        else yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120).rstrip()
    )
