"""A browser for all tests of a file."""

from functools import partial

import pytest
from browsers import open_page, start_chromium


@pytest.fixture(scope="module")
def open_chromium():
    """A function that opens a page in Chromium, which is started once for a file; see `browsers.open_page`."""
    with start_chromium() as browser:
        yield partial(open_page, browser)
