"""What an error says, in one line."""

import pytest

from pipeline.errors import first_line


@pytest.mark.parametrize(
    ("message", "told"),
    [("out of memory", "out of memory"), ("\n  no such file\nTraceback ...", "no such file"), ("", "ValueError")],
)
def test_the_first_line_of_an_error_is_what_it_says_or_what_it_is(message, told):
    assert first_line(ValueError(message)) == told
