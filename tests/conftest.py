"""What several test files share."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture
def tree() -> dict[str, Any]:
    """The parsed params.yaml, to change and check."""
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
