"""Labels of a set beside stubs of its videos."""

import json

import pytest


@pytest.fixture
def place(tmp_path):
    """A function that writes files of labels and puts stubs of videos beside them."""

    def write(files, videos=()):
        for name, content in files.items():
            (tmp_path / "labels" / name).parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / "labels" / name).write_text(text, newline="")
        for name in ("here.mp4", *videos):
            (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "videos" / name).write_bytes(name.encode())
        return tmp_path / "labels"

    return write
