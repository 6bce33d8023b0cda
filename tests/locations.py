"""Where things lie: this checkout, and the real data beside it, which tests skip without."""

from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
SHARED = ROOT.parent / "shared" / "data"


def list_files(folder: Path) -> list[str]:
    """The files of a folder and of those below it, as paths within it, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
