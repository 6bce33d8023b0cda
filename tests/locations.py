"""Where things lie: this checkout, and the real data beside it, which tests skip without."""

from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
SHARED = ROOT.parent / "shared" / "data"
