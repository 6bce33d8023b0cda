"""Every link of every page leads somewhere, and every page of docs/ is linked."""

from pathlib import Path

import pytest
from locations import ROOT
from markdown_pages import PAGES, Page

INDEX = ROOT / "docs/index.md"


def find_targets(page: Page) -> list[tuple[str, Path, str]]:
    """The links within this repository: as written, the file, the anchor."""
    inside = (link for link in page.links() if "://" not in link and not link.startswith("mailto:"))
    split = ((link, *link.partition("#")[::2]) for link in inside)
    return [(link, (page.path.parent / path).resolve() if path else page.path, anchor) for link, path, anchor in split]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_a_file_and_to_a_heading_in_it(page):
    dead = [link for link, path, anchor in find_targets(page) if not leads(path, anchor)]
    assert dead == []


def leads(path: Path, anchor: str) -> bool:
    """Whether the file is there, and has the heading."""
    return path.exists() and path.is_relative_to(ROOT) and (not anchor or anchor in Page(path).anchors())


def test_every_page_of_the_docs_is_reached_from_the_index():
    pages = {page.path: page for page in PAGES}
    reached, waiting = set(), [INDEX]
    while waiting:
        path = waiting.pop()
        if path in pages and path not in reached:
            reached.add(path)
            waiting += [target for _, target, _ in find_targets(pages[path])]
    assert {path for path in pages if path.is_relative_to(INDEX.parent)} - reached == set()


def test_the_readme_shows_the_samples_and_links_the_index():
    links = Page(ROOT / "README.md").links()
    assert "docs/grid.gif" in links
    assert "docs/index.md" in links


def test_decisions_are_numbered_without_gaps_and_say_when_and_what():
    records = sorted((ROOT / "docs/decisions").glob("0*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    parts = {"context", "decision", "consequences"}
    for path in records:
        page = Page(path)
        assert page.anchors() >= parts, path.name
        assert "\n- Status: " in page.text and "\n- Date: 20" in page.text, path.name
