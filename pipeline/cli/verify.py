"""`t2v verify`: checks that rendered files and outputs of stages are unchanged since they were made."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.reproduce import ALTERED, remake_all
from pipeline.cli.sample import MADE_BY
from pipeline.errors import UserError
from pipeline.provenance.credentials import read_signature
from pipeline.provenance.locks import check_outputs, read_steps
from pipeline.provenance.media import Media, list_media, read_media


def verify(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="rendered files, or folders; else the whole project")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="folder of the model that made them; else as `t2v reproduce`")
    ] = None,
    trust: Annotated[
        Path | None, typer.Option(help="PEM: certificates of those who may sign; a signature of others is a fault")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="make no sample again")] = False,
) -> None:
    """Check the seal and the signature of every rendered file, make samples again, and hash outputs of stages.

    A seal shows any change by accident, and by whoever does not renew it; whoever does is found by the samples made
    again, and by the lock files of DVC. Exit code 1 where something is not as it was made.

    Example: t2v verify data/samples
    """
    places = paths or [Path()]
    if absent := [path for path in places if not path.exists()]:
        raise UserError(f"{absent[0]}: no such file or folder")
    steps = read_steps(Path())
    locked, faults = check_outputs(steps, Path(), places)
    found = [file for path in places for file in list_media(path)]
    outputs = {Path(name).resolve() for step in steps for name in step.outs}
    if paths is None and outputs:  # a whole project may also hold pictures from elsewhere
        found = [file for file in found if file.parent.resolve() in outputs]
    files = [read_media(file) for file in found]
    told = {media.path: check_marks(media, trust) for media in files}
    again = 0 if quick else _make_again([media for media in files if not told[media.path]], model, told)
    faults += [f"{path}: {fault}" for path, fault in told.items() if fault]
    for fault in faults:
        print(fault)
    whole = sum(not fault for fault in told.values())
    print(f"{whole} of {len(files)} rendered files are whole, {again} of them made again; {locked} files fit the locks")
    if faults:
        raise typer.Exit(1)


def _make_again(files: list[Media], model: Path | None, told: dict[Path, str]) -> int:
    """Make samples again -> how many are equal; what was altered is put into `told`, what cannot be done is printed."""
    equal = 0
    samples = [media for media in files if (media.facts or {}).get("made_by") == MADE_BY]
    for outcome in remake_all(samples, model, Path("data")):
        equal += outcome.is_equal
        reasons = "; ".join(outcome.reasons)
        if ALTERED in outcome.reasons:
            told[outcome.media.path] = f"sealed, but another than is made again: {reasons}"
        elif not outcome.is_equal:
            print(f"{outcome.media.path}: whole by its seal; here it cannot be made equal: {reasons}")
    return equal


def check_marks(media: Media, trust: Path | None) -> str:
    """What is wrong with the facts, the seal or the signature of a file; empty where nothing is."""
    if not media.has_seal:
        return "has no seal: not written here, or written anew by another program"
    if not media.is_whole:
        return "its seal does not fit: bytes have changed"
    if media.facts is None:
        return "says nothing of how it was made"
    if not media.is_signed:
        return "" if trust is None else "is not signed"
    found = read_signature(media, trust)
    if not found.is_valid:
        return f"its signature does not fit: {', '.join(found.problems)}"
    if trust is not None and not found.is_trusted:
        return f"signed by {found.signer}, whom {trust} does not name"
    return "" if found.facts == media.facts else f"signed by {found.signer} for another file: the facts differ"
