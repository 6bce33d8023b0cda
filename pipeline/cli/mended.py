"""The first versions that mend the last published faults of what reads strangers' files.

To update the table: look for newer records (cve.org, osv.dev, release notes), put in for each line the newest version
that mends a fault which a file can use, and the day. Faults that no version mends yet are not in it.
"""

import re
from typing import NamedTuple

LOOKED_UP = "2026-11-28"


class Mended(NamedTuple):
    """One version from which on the published faults are mended, with what says so."""

    version: tuple[int, ...]
    why: str
    source: str


MENDED: dict[str, tuple[Mended, ...]] = {  # several: each of a line that is still mended, the oldest first
    "FFmpeg": (
        Mended((8, 1, 3), "CVE-2026-65703 and others", "https://www.cve.org/CVERecord?id=CVE-2026-107695"),
        Mended((9, 0, 2), "CVE-2026-125201", "https://www.cve.org/CVERecord?id=CVE-2026-125201"),
    ),
    "Pillow": (
        Mended((13, 0, 0), "GHSA-8g5g-8vmr-9782", "https://pillow.readthedocs.io/en/stable/releasenotes/13.0.0.html"),
    ),
    "pyarrow": (Mended((23, 0, 1), "CVE-2026-25087", "https://osv.dev/vulnerability/GHSA-rgxp-2hwp-jwgg"),),
}


def find_fault(name: str, version: str) -> Mended | None:
    """What a version lacks that an entry of the table names; None where it has all, or is of a line that is newer."""
    numbers = read_numbers(version)
    line = next((mended for mended in MENDED[name] if numbers[:1] <= mended.version[:1]), None)
    return line if line and numbers < line.version else None


def read_numbers(version: str) -> tuple[int, ...]:
    """`n9.0.2-17-g2a571b6068` -> (9, 0, 2)."""
    found = re.match(r"[^\d]*(\d+(?:\.\d+)*)", version)
    return tuple(int(number) for number in found[1].split(".")) if found else ()
