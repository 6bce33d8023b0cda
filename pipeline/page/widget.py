"""A part of the page with scripts of its own: markup, style, and the data that the scripts read."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

SOURCES = Path(__file__).parent / "player"


@dataclass(frozen=True, slots=True)
class Widget:
    """Markup `html` where it is to be seen, and the texts of a `style` and a `script` element.

    `data` are elements for the end of the body, before the script. Where it cannot be had, `reason` says why, as plain
    text.
    """

    html: str
    style: str = ""
    data: str = ""
    script: str = ""
    reason: str = ""


def explain_missing(reason: str) -> Widget:
    """In place of a part that cannot be had: why, for the reader, too."""
    return Widget(f"<p>{escape(reason)}</p>\n", reason=reason)


def read_source(name: str) -> str:
    """One of the files in the folder of the scripts."""
    return (SOURCES / name).read_text(encoding="utf-8")


def read_scripts(names: Iterable[str]) -> str:
    """Some of the scripts as one, in a scope of its own."""
    texts = [read_source(f"{name}.js") for name in names]
    return "(() => {\n" + '"use strict";\n' + "\n".join(texts) + "})();\n"


def embed(name: str, kind: str, text: str) -> str:
    """An element that holds data, not markup."""
    return f'<script id="{name}" type="{kind}">\n{text}</script>\n'


def embed_json(value: Any) -> Markup:
    """JSON that no markup can end."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.translate({ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}))
