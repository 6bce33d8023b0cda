"""The first versions with fixes for the latest published vulnerabilities of the libraries that read untrusted files.

To update the table: look for newer records (cve.org, osv.dev, release notes), put in for each release line the newest
version that fixes a vulnerability which a file can exploit, and the day. Vulnerabilities without a fix are not in it.
"""

import base64
import ctypes
import re
import subprocess
from importlib.metadata import PackageNotFoundError, files
from typing import NamedTuple

from pipeline.video.ffmpeg import find_executable

LOOKED_UP = "2026-11-28"

# What a library that PyAV's wheel carries calls its version by.
FUNCTIONS = {"libvpx": "vpx_codec_version_str", "dav1d": "dav1d_version"}
# Streams of one frame, which have ffmpeg say by what it decodes them: options, and an IVF file of 64x64 pixels.
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
SECONDS = 60.0  # that ffmpeg may take


class Fix(NamedTuple):
    """The first version of a release line with the fixes, and the records that say so."""

    version: tuple[int, ...]
    why: str
    source: str


FIXES: dict[str, tuple[Fix, ...]] = {  # several: one for each release line that still gets fixes, the oldest first
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
    """The fix that a version lacks; None where it has it, is of a newer line, or cannot be compared."""
    numbers = read_numbers(version)
    if not is_known(version):
        return None
    line = next((fix for fix in FIXES[name] if numbers[:1] <= fix.version[:1]), None)
    return line if line and numbers < line.version else None


def is_known(version: str) -> bool:
    """Whether it is a version that can be compared, not the name of a commit, nor nothing."""
    return len(read_numbers(version)) > 1


def read_numbers(version: str) -> tuple[int, ...]:
    """`n9.0.2-17-g2a571b6068` -> (9, 0, 2)."""
    found = re.match(r"[^\d]*(\d+(?:\.\d+)*)", version)
    return tuple(int(number) for number in found[1].split(".")) if found else ()


def read_wheel_version(name: str) -> str:
    """Which libvpx or dav1d PyAV's wheel carries; empty where it carries none, as one built on this machine."""
    try:
        paths = [file.locate() for file in files("av") or () if f"lib{name.removeprefix('lib')}-" in file.name]
        function = getattr(ctypes.CDLL(str(paths[0])), FUNCTIONS[name])
    except (PackageNotFoundError, IndexError, OSError, AttributeError):
        return ""
    function.restype = ctypes.c_char_p
    return str(function().decode())


def read_static_version(name: str) -> str:
    """Which libvpx or dav1d the ffmpeg of imageio-ffmpeg has inside, perhaps a commit; empty where it has none."""
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
