"""A part of the page with its own scripts: markup, style, and data for the scripts."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

SOURCES = Path(__file__).parent / "player"


@dataclass(frozen=True, slots=True)
class Widget:
    """Visible markup `html`, and the texts of a `style` and a `script` element.

    `data` are elements for the end of the body, before the script. If the widget is not available, `reason` says why,
    as plain text.
    """

    html: str
    style: str = ""
    data: str = ""
    script: str = ""
    reason: str = ""


def explain_missing(reason: str) -> Widget:
    """A widget that only shows why it is not available."""
    return Widget(f"<p>{mark_code(reason)}</p>\n", reason=reason)


def mark_code(text: str) -> Markup:
    """Plain text as markup, in which commands between backticks are set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def read_source(name: str) -> str:
    """A file in the folder of scripts."""
    return (SOURCES / name).read_text(encoding="utf-8")


def read_scripts(names: Iterable[str]) -> str:
    """Scripts joined into one, in a separate scope."""
    texts = [read_source(f"{name}.js") for name in names]
    return "(() => {\n" + '"use strict";\n' + "\n".join(texts) + "})();\n"


def embed(name: str, kind: str, text: str) -> str:
    """An element with data."""
    return f'<script id="{name}" type="{kind}">\n{text}</script>\n'


def embed_json(value: Any) -> Markup:
    """JSON that is safe inside a script element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.translate({ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}))
