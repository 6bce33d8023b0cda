"""YAML files edited by ruamel.yaml, the one package that keeps comments."""

import io
from typing import Any

from pipeline.params import show_value


def read_to_edit(text: str) -> Any:
    """The tree of a text, which may be changed, with its comments."""
    return _open_editor().load(text)


def write_edited(tree: Any) -> str:
    """The text of such a tree."""
    text = io.StringIO()
    _open_editor().dump(tree, text)
    return text.getvalue()


def _open_editor() -> Any:
    """A reader and writer of YAML that folds no line, and writes null and numbers as every reader takes them."""
    from ruamel.yaml import YAML  # takes a while to import

    editor = YAML()
    editor.width = 10_000
    editor.indent(mapping=2, sequence=4, offset=2)
    editor.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    editor.representer.add_representer(  # 1e-05 would be text to PyYAML
        float, lambda writer, value: writer.represent_scalar("tag:yaml.org,2002:float", show_value(value))
    )
    return editor
