"""The Markdown pages of this repository, taken apart: prose, links, headings and fenced blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from locations import ROOT

FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: what follows the three backticks, and its lines."""

    language: str
    text: str


class Page:
    """One Markdown file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.prose = FENCE.sub("", self.text)

    def blocks(self, *languages: str) -> list[Block]:
        """Fenced blocks of these languages, in order."""
        found = (Block(language, text) for language, text in FENCE.findall(self.text))
        return [block for block in found if block.language in languages]

    def links(self) -> list[str]:
        """Targets of links and images."""
        return LINK.findall(INLINE.sub("", self.prose))

    def literals(self) -> list[str]:
        """What is set in single backticks."""
        return INLINE.findall(self.prose)

    def anchors(self) -> set[str]:
        """The anchors that GitHub and MyST make of the headings."""
        return {slugify(heading) for heading in HEADING.findall(self.prose)}


def slugify(heading: str) -> str:
    """`## Several nodes` -> several-nodes; without the marks of code and links."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")


def find_pages() -> Iterator[Page]:
    """Every page that people read: at the top, in docs/, and the READMEs of folders. Generated ones are left out."""
    tops = ("docs", "data/weights", "extensions", "findings", "recipes")
    paths = [*ROOT.glob("*.md"), *(path for top in tops for path in (ROOT / top).rglob("*.md"))]
    return (Page(path) for path in sorted(paths) if not path.is_relative_to(ROOT / "docs/api"))


PAGES = tuple(find_pages())
