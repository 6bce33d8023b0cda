"""`t2v verify`, `t2v reproduce`, `t2v sign`: check, reproduce and sign rendered files.

Files are reproduced from their own provenance, if possible, and compared. Outputs of stages are compared with the lock
files.
"""

import contextlib
import io
import json
import os
import runpy
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, NamedTuple

import typer
import yaml

from pipeline.cli.commands import JsonOption
from pipeline.cli.sample import MADE_BY, MAX_FPS, MAX_GUIDANCE, MAX_SCALE, MAX_SEED, MAX_STEPS, sample
from pipeline.errors import UserError, catch_fault, naming
from pipeline.extensions import list_references
from pipeline.files import digest_value
from pipeline.params import check_params, read_yaml
from pipeline.provenance.credentials import Algorithm, read_signature, sign_media
from pipeline.provenance.locks import check_outputs, find_makers, open_model, read_steps
from pipeline.provenance.media import Media, explain_facts, explain_pixels, list_media, read_media

ALTERED = "reproduced under the same conditions, so the file has been altered"
LIMITS: dict[str, tuple[Any, float, float]] = {  # of values in provenance: type, minimum, maximum
    "seed": (int, 0, MAX_SEED),
    "n": (int, 1, 2**31),  # `sample` refuses more clips than memory holds
    "scale": (int, 1, MAX_SCALE),
    "fps": (int, 1, MAX_FPS),
    "steps": (int, 1, MAX_STEPS),
    "guidance": ((int, float), 0, MAX_GUIDANCE),
    "threads": (int, 1, 1024),
}
SAMPLED = ("seed", "n", "scale", "fps", "steps", "guidance")  # options of `t2v sample` in the provenance


class Stage(NamedTuple):
    """How to run a stage that renders files."""

    section: str  # of params, also the key in the provenance
    folders: tuple[str, ...]  # of the run that it reads, besides the model


STAGES = {
    "stages.render_samples": Stage("render", ("labels", "clips", "captions")),
    "stages.evaluate_model": Stage("evaluate", ("labels", "clips", "captions", "judge")),
    "stages.report_run": Stage("report", ("labels", "clips", "captions", "judge", "evaluation", "samples")),
}


@dataclass(frozen=True)
class Outcome:
    """The result for one file."""

    media: Media
    state: Literal["equal", "equal pixels", "differs", "not reproduced"]
    reasons: tuple[str, ...] = ()  # why it was not reproduced, or how and why it differs

    @property
    def is_equal(self) -> bool:
        return self.state in ("equal", "equal pixels")


def reproduce(
    paths: Annotated[list[Path], typer.Argument(help=".png, .gif, .mp4 or .npz files, or folders of them")],
    model: Annotated[
        Path | None, typer.Option(help="folder of the model [default: data/model, or a model in DVC's cache]")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="folder for the reproduced files")] = None,
    as_json: JsonOption = False,
) -> None:
    """Reproduce files with the same model, captions, seeds, threads and instruction set, and compare the bytes.

    Exit code 1 if one differs or cannot be reproduced; the reasons are printed.

    Example: t2v reproduce data/samples
    """
    files = [read_media(file) for file in _list_once(paths)]
    if not files:
        raise UserError(f"{', '.join(map(str, paths))}: no rendered files")
    if out is not None:
        _check_places([media.path for media in files], out)
    found = []
    for outcome in _remake_all(files, model, Path("data"), out):
        found.append(outcome)
        if not as_json:
            print(f"{outcome.media.path}: {'; '.join((outcome.state, *outcome.reasons))}", flush=True)
    if as_json:
        told = [{"file": str(one.media.path), "state": one.state, "reasons": one.reasons} for one in found]
        print(json.dumps(told, indent=2))
    if not all(outcome.is_equal for outcome in found):
        raise typer.Exit(1)


def _list_once(paths: Sequence[Path]) -> list[Path]:
    """The files of all paths without duplicates, such as a file in a folder that is given too."""
    found: dict[Path, Path] = {}
    for file in (file for path in paths for file in list_media(path)):
        found.setdefault(Path(os.path.abspath(file)), file)  # noqa: PTH100  DVC may link equal files
    return list(found.values())


def _check_places(files: Sequence[Path], out: Path) -> None:
    """Raise UserError if a reproduced file would overwrite another one, or the original."""
    taken: dict[str, Path] = {}
    for file in files:
        if (out / file.name).resolve() == file.resolve():
            raise UserError(f"--out {out}: {file} would be overwritten by its reproduction; name another folder")
        if (other := taken.setdefault(file.name, file)) is not file:
            raise UserError(f"--out {out}: {other} and {file} have the same name; reproduce them one at a time")


def _remake_all(files: Sequence[Media], model: Path | None, data: Path, out: Path | None = None) -> Iterator[Outcome]:
    """Reproduce each file; those with equal environments in one process."""
    groups: dict[str, list[Media]] = {}
    for media in files:
        groups.setdefault(repr((media.facts or {}).get("environment")), []).append(media)
    for group in groups.values():
        with open_process() as process, TemporaryDirectory() as temporary:
            for media in group:
                try:
                    made = _remake(media, model, data, Path(temporary), process)
                    if out is not None:
                        out.mkdir(parents=True, exist_ok=True)
                        made = Path(shutil.copyfile(made, out / media.path.name))
                    yield compare(media, read_media(made))
                except UserError as error:
                    yield Outcome(media, "not reproduced", (str(error),))


def open_process() -> ProcessPoolExecutor:
    """A new process, since torch selects its instruction set once per process. Ctrl-C ends it without a traceback."""
    on_interrupt = (signal.SIGINT, signal.SIG_DFL)
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=signal.signal, initargs=on_interrupt)


def compare(media: Media, remade: Media) -> Outcome:
    """Whether two files have equal bytes, or equal pixels, or how they differ; with differences in provenance."""
    if media.payload == remade.payload:
        return Outcome(media, "equal")
    facts = tuple(explain_facts(media.facts or {}, remade.facts or {}))
    pixels = tuple(explain_pixels(media, remade))
    if facts and not pixels:
        return Outcome(media, "equal pixels", facts)
    return Outcome(media, "differs", (*pixels, *(facts or (ALTERED,))))


def _remake(media: Media, model: Path | None, data: Path, scratch: Path, process: ProcessPoolExecutor) -> Path:
    """Reproduce a file in `scratch` -> its path. Raises UserError if that is not possible here."""
    facts = media.require_facts()
    maker = facts.get("made_by")
    if maker not in (MADE_BY, *STAGES):
        raise UserError(f"made by {maker or 'an earlier version'}, which cannot be reproduced by itself")
    check_facts(facts)
    alike = {key: value for key, value in facts.items() if key != "encoder"}  # the same for all files of a stage
    folder = scratch / digest_value(alike)
    made = folder / (f"sample{media.kind}" if maker == MADE_BY else media.path.name)
    if not made.is_file():
        folder.mkdir(exist_ok=True)
        with open_model(None if facts.get("model") is None else str(facts["model"]), model) as source:
            work = (
                (_sample_again, facts, source, made) if maker == MADE_BY else (_run_again, facts, source, data, folder)
            )
            try:
                failed = process.submit(*work).result()
            except BrokenProcessPool:
                failed = "the reproducing process was killed, perhaps because memory ran out"
            if failed:
                raise UserError(failed)
    if not made.is_file():
        raise UserError(f"{maker} writes no file of this name; the file was renamed")
    return made


def check_facts(facts: dict[str, Any]) -> None:
    """Raises UserError for provenance that this project does not write: files are untrusted."""
    environment = facts.get("environment", {"threads": 1})
    known = {**facts, "threads": environment.get("threads") if isinstance(environment, dict) else None}
    for name, (kinds, least, most) in LIMITS.items():
        value = known.get(name, least)
        if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value <= most:
            detail = f"{name} is {value!r}, not a number from {least} to {most}"
            raise UserError(f"its provenance is invalid: {detail}")
    if facts["made_by"] == MADE_BY:
        if not isinstance(facts.get("caption"), str):
            raise UserError("its provenance has no caption")
        return
    if ("steps" in facts) != ("guidance" in facts):
        raise UserError("its provenance has only one of steps and guidance, which belong together")
    section = STAGES[facts["made_by"]].section
    named = set(list_references(facts.get(section))) - set(list_references(read_yaml(Path("params.yaml"))))
    if named or not isinstance(facts.get(section), dict):
        raise UserError(f"needs code that params.yaml does not name: {', '.join(sorted(named)) or section}")


def _sample_again(facts: dict[str, Any], model: Path, out: Path) -> str | None:
    """Sample by the provenance `facts`, in its environment -> why that failed, or None."""
    from pipeline.inference import use_environment

    # A graph has steps and guidance of its own; giving either would make torch sample instead.
    by_graph = facts.get("runtime") == "onnxruntime"
    if not by_graph and "environment" in facts:
        use_environment(facts["environment"])
    named = [name for name in SAMPLED if name in facts and not (by_graph and name in ("steps", "guidance"))]
    options = {name: facts[name] for name in named} | {"exact": not by_graph}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        failed = catch_fault(lambda: sample(facts["caption"], out, model=model, **options))
    return failed[0] if failed else None


def _run_again(facts: dict[str, Any], model: Path, data: Path, out: Path) -> str | None:
    """Run a stage by the provenance `facts`, in its environment and a new folder -> why that failed, or None.

    Raises UserError if its params are invalid.
    """
    from pipeline.inference import use_environment

    if "environment" in facts:
        use_environment(facts["environment"])
    stage, root = STAGES[facts["made_by"]], Path.cwd()
    params = (read_yaml(Path("params.yaml")) or {}) | {stage.section: facts[stage.section]}
    if "steps" in facts:
        params["sampling"] = {name: facts[name] for name in ("steps", "guidance")}
    places = {name: data / name for name in stage.folders} | {"model": model, "out": out}
    check_params(params, f"params.yaml with the section {stage.section} of the file's provenance")
    if stage.section == "evaluate":
        places |= {"weights": Path(params["evaluate"]["pretrained"]["weights"]), "metrics": out / "metrics.json"}
    words = [word for name, path in places.items() for word in (f"--{name}", str(root / path))]
    printed = io.StringIO()
    with TemporaryDirectory() as temporary, contextlib.chdir(temporary), contextlib.redirect_stderr(printed):
        with naming(Path(temporary) / "params.yaml"):
            Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        sys.path.insert(0, str(root))
        sys.argv = [facts["made_by"], *words]
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                runpy.run_module(facts["made_by"], run_name="__main__")
            except SystemExit as ended:
                return printed.getvalue().strip().removeprefix("error: ") if ended.code else None
    return None


ModelOption = Annotated[
    Path | None, typer.Option(help="folder of the model that made them [default: as for `t2v reproduce`]")
]
TrustOption = Annotated[
    Path | None,
    typer.Option(help="PEM file: certificates of trusted signers; signatures by anyone else count as faults"),
]


def verify(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="rendered files or folders [default: the whole project]")
    ] = None,
    model: ModelOption = None,
    trust: TrustOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="do not reproduce samples")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the seals and signatures of rendered files, reproduce samples, and hash the outputs of stages.

    A seal reveals any change, unless the file was sealed again, which reproducing samples and DVC's lock files reveal.
    Exit code 1 if anything was changed.

    Example: t2v verify data/samples
    """
    places = paths or [Path()]
    if absent := [path for path in places if not path.exists()]:
        raise UserError(f"{absent[0]}: no such file or folder")
    steps = read_steps(Path())
    locked, locked_faults = check_outputs(steps, Path(), places)
    found = _list_once(places)
    outputs = {Path(name).resolve() for step in steps for name in step.outs}
    if paths is None and outputs:  # a project may also have pictures from other programs
        found = [file for file in found if file.parent.resolve() in outputs]
    files = [read_media(file) for file in found]
    by_path = {media.path: _check_marks(media, trust) for media in files}
    sealed = [media for media in files if not by_path[media.path]]
    again, not_reproduced = (0, {}) if quick else _make_again(sealed, model, by_path)
    seals = {str(path): fault for path, fault in by_path.items() if fault}
    figures: dict[str, Any] = {"rendered": len(files), "intact": len(files) - len(seals)}
    figures |= {"reproduced": again, "locked": locked}
    figures["faults"] = [{"file": path, "fault": fault} for path, fault in (*locked_faults.items(), *seals.items())]
    figures["not_reproduced"] = [{"file": path, "reason": reason} for path, reason in not_reproduced.items()]
    print(json.dumps(figures, indent=2) if as_json else _describe(figures))
    if figures["faults"]:
        raise typer.Exit(1)


def _describe(figures: dict[str, Any]) -> str:
    impossible = "intact by its seal, but cannot be reproduced here"
    lines = [f"{one['file']}: {impossible}: {one['reason']}" for one in figures["not_reproduced"]]
    lines += [f"{one['file']}: {one['fault']}" for one in figures["faults"]]
    lines.append(
        f"{figures['intact']} of {figures['rendered']} rendered files are intact, {figures['reproduced']} of them "
        f"reproduced; {figures['locked']} files match the lock files"
    )
    return "\n".join(lines)


def _make_again(files: list[Media], model: Path | None, by_path: dict[Path, str]) -> tuple[int, dict[str, str]]:
    """Reproduce samples -> how many are equal, and why others cannot be made; altered ones are added to `by_path`."""
    equal, impossible = 0, {}
    samples = [media for media in files if (media.facts or {}).get("made_by") == MADE_BY]
    for outcome in _remake_all(samples, model, Path("data")):
        equal += outcome.is_equal
        reasons = "; ".join(outcome.reasons)
        if ALTERED in outcome.reasons:
            by_path[outcome.media.path] = f"sealed, but its reproduction differs: {reasons}"
        elif not outcome.is_equal:
            impossible[str(outcome.media.path)] = reasons
    return equal, impossible


def _check_marks(media: Media, trust: Path | None) -> str:
    """What is wrong with the provenance, the seal or the signature of a file; empty if nothing is."""
    if not media.has_seal:
        return "has no seal: from training logs, not written by t2v, or rewritten by another program"
    if not media.is_whole:
        return "its seal does not match: bytes have changed"
    if media.facts is None:
        return "has no provenance"
    if not media.is_signed:
        return "" if trust is None else "is not signed"
    found = read_signature(media, trust)
    if not found.is_valid:
        return f"its signature is invalid: {', '.join(found.problems)}"
    if trust is not None and not found.is_trusted:
        return f"signed by {found.signer}, who is not in {trust}"
    return "" if found.facts == media.facts else f"signed by {found.signer} for another file: the provenance differs"


def sign(
    file: Annotated[Path, typer.Argument(help="a .png, .gif or .mp4 of `t2v sample` or of the stage render")],
    out: Annotated[Path, typer.Option("-o", "--out", help="the signed file")],
    certificate: Annotated[Path, typer.Option(help="PEM file: the certificate chain, the signer's first")],
    key: Annotated[Path, typer.Option(help="PEM file: the private key of the signer")],
    algorithm: Annotated[Algorithm, typer.Option(help="signature algorithm of the key")] = "es256",
) -> None:
    """Sign that a trained model generated this file, together with its provenance.

    Signatures contain random numbers, so a file signed twice differs: signed files must be outside stage outputs.

    Example: t2v sign mug.gif -o shown/mug.gif --certificate chain.pem --key key.pem
    """
    media = read_media(file)
    media.require_facts()
    if not media.is_whole:
        raise UserError(
            f"{file}: its seal is missing or does not match, so it may have been altered; reproduce it first"
        )
    if out.suffix.lower() != media.kind:
        raise UserError(f"{out}: must end with {media.kind}, as {file} does")
    if makers := find_makers(out, read_steps(Path()), Path()):
        raise UserError(f"{out}: an output of the stage {makers[0].name}, whose bytes are locked; choose another path")
    sign_media(media, out, certificate, key, algorithm)
    print(f"{out}: signed")
