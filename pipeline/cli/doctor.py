"""`t2v doctor`: checks that this machine has what the pipeline needs; a line per check, with a remedy if it fails.

FIXES lists the first versions that fix the latest published vulnerabilities of libraries that read untrusted files. To
update it, look for newer records (cve.org, osv.dev, release notes), and enter for each release line the newest version
that fixes a vulnerability which a file can exploit, and the date. Vulnerabilities without a fix are not listed.
"""

import base64
import ctypes
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from pipeline.cli.commands import JsonOption
from pipeline.cli.prepare import TEMPLATE, find_remote, find_remote_fault
from pipeline.compute.isolation import find_missing
from pipeline.compute.sandbox import describe_missing
from pipeline.errors import UserError, spell_count
from pipeline.files import read_json
from pipeline.params import load_params
from pipeline.provenance.locks import find_cache
from pipeline.provenance.media import explain_environment, read_media
from pipeline.repository import git_fault, has_identity
from pipeline.video.ffmpeg import find_executable, read_program_version
from pipeline.video.pyav_decoder import read_library_version

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
DEMO_BYTES = 2 * 10**9  # rounded up: the demo's data, its cache and a few experiments
INSIDE = ("libvpx", "dav1d")  # decoders within PyAV and ffmpeg
MIN_BYTES = 2 * 10**8
TRAINED, PICTURE = Path("data/model/provenance.json"), Path("docs/grid.gif")  # of the run in dvc.lock

LOOKED_UP = "2026-11-28"

# The symbols by which libraries in PyAV's wheel report their versions.
FUNCTIONS = {"libvpx": "vpx_codec_version_str", "dav1d": "dav1d_version"}
# Streams of one frame, for which ffmpeg reports the decoder's version: options, and an IVF file of 64x64 pixels.
ASKED = {
    "libvpx": (
        "libvpx-vp9",
        "REtJRgAAIABWUDkwQABAAAEAAAABAAAAAQAAAAAAAAAfAAAAAAAAAAAAAACCSYNCAAPwA/YAOCQcGEoAADBgAABnP///VkVk7swA",
    ),
    "dav1d": (
        "libdav1d",
        "REtJRgAAIABBVjAxQABAAAEAAAABAAAAAQAAAAAAAAAhAAAAAAAAAAAAAAASAAoLAgAABVV//Gr5gEAyEBAAugIIIEEBAAAIAJXQAYA=",
    ),
}
SECONDS = 60.0  # timeout of ffmpeg


@dataclass(frozen=True)
class Finding:
    """The result of one check; `text` ends with a remedy if it is not `ok`."""

    state: Literal["ok", "warn", "fail"]
    text: str


def doctor(as_json: JsonOption = False) -> None:
    """Check what the pipeline needs here; exit code 1 if something would make it fail.

    Example: t2v doctor
    """
    console = Console(soft_wrap=True)
    found: dict[str, Finding] = {}
    for name, finding in _check_all():
        found[name] = finding
        if not as_json:
            console.print(Text.assemble((f"{finding.state:5}", COLOURS[finding.state]), f"{name:10}{finding.text}"))
    if as_json:
        print(json.dumps({name: asdict(finding) for name, finding in found.items()}, indent=2))
    if any(finding.state == "fail" for finding in found.values()):
        raise typer.Exit(1)


def _check_all() -> Iterator[tuple[str, Finding]]:
    """Each check by name, with its result."""
    faults: dict[str, str] = {}  # message -> the first check with it: several checks read the params
    for name, check in CHECKS.items():
        try:
            yield name, check()
        except UserError as error:
            first = faults.setdefault(str(error), name)
            yield name, Finding("fail", str(error) if first == name else f"not checked, because {first} failed")


def _python() -> Finding:
    text = f"{sys.version.split()[0]} at {sys.executable}"
    found = shutil.which("python")
    if found is None or Path(found).parent.resolve() != Path(sys.executable).parent.resolve():  # .venv may be a link
        return Finding("warn", f"{text}, but stages would run {found}; . {Path(sys.executable).parent}/activate")
    return Finding("ok", text)


def _torch() -> Finding:
    import torch  # takes seconds, so only for this check

    build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for the CPU"
    text = f"{torch.__version__}, built {build}"
    if differences := _compare_with_the_run():
        way = "outputs of `dvc repro` may differ from dvc.lock; see docs/explanation/determinism.md"
        return Finding("warn", f"{text}; the locked run had another environment ({', '.join(differences)}): {way}")
    return Finding("ok", text)


def _compare_with_the_run() -> list[str]:
    """How this machine differs from that of the run, according to its model, or else the picture in git."""
    from pipeline.inference import describe_environment

    made: dict[str, Any] = {}
    if TRAINED.is_file():
        made = read_json(TRAINED, "`dvc repro train` creates it")
    elif PICTURE.is_file():
        made = read_media(PICTURE).facts or {}
    recorded = made.get("environment")
    return list(explain_environment(recorded, describe_environment())) if recorded else []


def _devices() -> Finding:
    from pipeline.distributed import parse_devices

    return Finding("ok", ", ".join(str(device) for device in parse_devices(load_params().devices)))


def _ffmpeg() -> Finding:
    return Finding("ok", f"{read_program_version()} in imageio-ffmpeg runs")


def _decoders() -> Finding:
    """The versions of libraries that read untrusted files, and those without published fixes."""
    versions = {
        "FFmpeg in PyAV": read_library_version(),
        "FFmpeg in imageio-ffmpeg": read_program_version(),
        **{f"{name} in PyAV": read_wheel_version(name) for name in INSIDE},
        **{f"{name} in imageio-ffmpeg": read_static_version(name) for name in INSIDE},
        "Pillow": version("pillow"),
        "pyarrow": version("pyarrow"),
    }
    old = []
    for name, number in versions.items():
        if fix := find_missing_fix(name.split()[0], number):
            fixed = ".".join(map(str, fix.version))
            old.append(f"{name} is {number}; {fixed} fixes published vulnerabilities ({fix.why}, {fix.source})")
    unknown = [f"{name} ({number or 'not stated'})" for name, number in versions.items() if not is_known(number)]
    untold = f"; version unknown: {', '.join(unknown)}" if unknown else ""
    if old:
        return Finding("warn", f"{'; '.join(old)}; as of {LOOKED_UP}: look for a newer package{untold}")
    known = [f"{name} {number}" for name, number in versions.items() if is_known(number)]
    return Finding("ok", f"{', '.join(known)}{untold}")


def _sandbox() -> Finding:
    mode = load_params().compute.sandbox
    if mode == "off":
        return Finding("warn", "compute.sandbox is off: a malicious file would have your permissions; auto confines it")
    if missing := find_missing():
        return Finding("fail" if mode == "require" else "warn", describe_missing(missing))
    return Finding("ok", "available: readers of videos, labels and word vectors are fully confined")


def _dvc() -> Finding:
    if not (Path(".dvc") / "config").is_file():
        return Finding("fail", f"no .dvc/config in {Path.cwd()}; run this in the project folder")
    if not (Path(".dvc") / TEMPLATE).is_file():
        return Finding(
            "warn", f"{version('dvc')}, not configured for this machine (plots need internet access); run t2v prepare"
        )
    return Finding("ok", version("dvc"))


def _git() -> Finding:
    if fault := git_fault():
        return Finding("warn", f"`dvc repro` works, experiments and sweeps do not: {fault}")
    if not has_identity():
        return Finding(
            "warn",
            "git has no user name and email: `t2v sweep` uses its own, `dvc exp run` fails; "
            "git config --global user.name NAME && git config --global user.email MAIL",
        )
    return Finding("ok", "experiments can be recorded")


def _remote() -> Finding:
    if not (Path(".dvc") / "config").is_file():
        return Finding("ok", "no project here")
    name = find_remote()
    if not name:
        return Finding("ok", "no remote configured (see docs/how-to/share-a-run.md)")
    fault = find_remote_fault()
    return Finding("warn", fault) if fault else Finding("ok", f"`dvc push` and `dvc exp push` can use {name}")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    text = f"{free / 10**9:.1f} GB free in {Path.cwd()}"
    halves, cache = [], find_cache(Path())
    for path in cache.glob("*/.*.tmp"):
        with suppress(FileNotFoundError):  # a running DVC may have removed it
            halves.append(path.stat().st_size)
    if halves:
        left = f"{spell_count(len(halves), 'unfinished copy', 'unfinished copies')} ({sum(halves) / 10**9:.1f} GB)"
        text = (
            f"{text}; DVC left {left}, as on a full disk; to delete them, while no DVC command runs: "
            f"find {shlex.quote(str(cache))} -name '.*.tmp' -delete"
        )
    if free < DEMO_BYTES:
        return Finding(
            "fail" if free < MIN_BYTES else "warn",
            f"{text}; free some space, for example by dvc gc -w --all-experiments",
        )
    return Finding("warn" if halves else "ok", text)


def _params() -> Finding:
    load_params()
    return Finding("ok", "params.yaml is valid")


CHECKS: dict[str, Callable[[], Finding]] = {
    "python": _python,
    "params": _params,
    "dvc": _dvc,
    "git": _git,
    "remote": _remote,
    "ffmpeg": _ffmpeg,
    "decoders": _decoders,
    "sandbox": _sandbox,
    "disk": _disk,
    "torch": _torch,
    "devices": _devices,
}


class Fix(NamedTuple):
    """The first version of a release line with the fixes, and their records."""

    version: tuple[int, ...]
    why: str
    source: str


FIXES: dict[str, tuple[Fix, ...]] = {  # one for each maintained release line, oldest first
    "FFmpeg": (
        Fix((8, 1, 3), "CVE-2026-65703 and others", "https://www.cve.org/CVERecord?id=CVE-2026-107695"),
        Fix((9, 0, 2), "CVE-2026-125201", "https://www.cve.org/CVERecord?id=CVE-2026-125201"),
    ),
    "libvpx": (Fix((1, 16, 0), "CVE-2026-2447", "https://github.com/NixOS/nixpkgs/pull/491169"),),
    "dav1d": (Fix((1, 4, 0), "CVE-2024-1580", "https://nvd.nist.gov/vuln/detail/CVE-2024-1580"),),
    "Pillow": (
        Fix((13, 0, 0), "GHSA-8g5g-8vmr-9782", "https://pillow.readthedocs.io/en/stable/releasenotes/13.0.0.html"),
    ),
    "pyarrow": (Fix((23, 0, 1), "CVE-2026-25087", "https://osv.dev/vulnerability/GHSA-rgxp-2hwp-jwgg"),),
}


def find_missing_fix(name: str, version: str) -> Fix | None:
    """The fix that a version lacks; None if it has it, is of a newer release line, or cannot be compared."""
    numbers = read_numbers(version)
    if not is_known(version):
        return None
    line = next((fix for fix in FIXES[name] if numbers[:1] <= fix.version[:1]), None)
    return line if line and numbers < line.version else None


def is_known(version: str) -> bool:
    """Whether a version can be compared: it is neither a commit nor empty."""
    return len(read_numbers(version)) > 1


def read_numbers(version: str) -> tuple[int, ...]:
    """`n9.0.2-17-g2a571b6068` -> (9, 0, 2)."""
    found = re.match(r"[^\d]*(\d+(?:\.\d+)*)", version)
    return tuple(int(number) for number in found[1].split(".")) if found else ()


def read_wheel_version(name: str) -> str:
    """The version of libvpx or dav1d in PyAV's wheel; empty if it has none, as when built on this machine."""
    try:
        paths = [file.locate() for file in files("av") or () if f"lib{name.removeprefix('lib')}-" in file.name]
        function = getattr(ctypes.CDLL(str(paths[0])), FUNCTIONS[name])
    except (PackageNotFoundError, IndexError, OSError, AttributeError):
        return ""
    function.restype = ctypes.c_char_p
    return str(function().decode())


def read_static_version(name: str) -> str:
    """The version, or commit, of libvpx or dav1d in the ffmpeg of imageio-ffmpeg; empty if it has none."""
    decoder, stream = ASKED[name]
    command = [find_executable(), "-hide_banner", "-v", "verbose", "-c:v", decoder, "-f", "ivf", "-i", "pipe:"]
    try:
        answer = subprocess.run(
            [*command, "-f", "null", "-"], input=base64.b64decode(stream), capture_output=True, timeout=SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    said = re.search(rf"\[{decoder} @ \w+\] (?:libdav1d )?(\S+)\n", answer.stderr.decode(errors="replace"))
    return said[1] if said else ""
