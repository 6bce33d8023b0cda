"""XML files -> element trees, without entities: an untrusted file can neither read other files nor grow."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from pipeline.errors import UserError

LONGEST = 1 << 30  # bytes
DEEPEST = 200  # elements in one another
BLOCK = 1 << 20


def read_xml(file: IO[bytes], path: Path, attributes: Collection[str], remedy: str) -> ElementTree.Element:
    """The root of the tree; only the named attributes are kept.

    Raises UserError that names the file where it is no XML, too long or too deep, or declares types or entities.
    """
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    depth = 0

    def start(tag: str, found: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise UserError(f"{path}: has elements more than {DEEPEST} deep in one another; {remedy}")
        builder.start(tag, {name: value for name, value in found.items() if name in attributes})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: Any) -> None:
        raise UserError(f"{path}: declares a document type, which may hold entities; no labelling tool does; {remedy}")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        read = 0
        while block := file.read(BLOCK):
            read += len(block)
            if read > LONGEST:
                raise UserError(f"{path}: holds more than {LONGEST >> 20} MiB of XML; export it in parts")
            parser.Parse(block)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise UserError(f"{path}: not XML ({error}); {remedy}") from None
    return builder.close()


def read_text(element: ElementTree.Element, path: str) -> str:
    """The text of the first element at a path below, without the white space around it; empty where there is none."""
    return (element.findtext(path) or "").strip()
