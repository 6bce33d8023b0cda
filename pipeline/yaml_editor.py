"""Edits YAML files with ruamel.yaml, which preserves comments."""

import io
from typing import Any

from pipeline.params import show_value


def read_to_edit(text: str) -> Any:
    """Parse a text into a mutable tree with comments."""
    return _open_editor().load(text)


def write_edited(tree: Any) -> str:
    """The text of a tree from `read_to_edit`."""
    text = io.StringIO()
    _open_editor().dump(tree, text)
    return text.getvalue()


def _open_editor() -> Any:
    """A YAML reader and writer that does not wrap lines, and writes null and numbers as PyYAML reads them."""
    from ruamel.yaml import YAML  # takes a while to import

    editor = YAML()
    editor.width = 10_000
    editor.indent(mapping=2, sequence=4, offset=2)
    editor.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    editor.representer.add_representer(  # PyYAML reads 1e-05 as text
        float, lambda writer, value: writer.represent_scalar("tag:yaml.org,2002:float", show_value(value))
    )
    return editor
