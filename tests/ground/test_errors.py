"""What an error says, in one line."""

import errno

import pytest

from pipeline.errors import ending, first_line


@pytest.mark.parametrize(
    ("message", "told"),
    [("out of memory", "out of memory"), ("\n  no such file\nTraceback ...", "no such file"), ("", "ValueError")],
)
def test_the_first_line_of_an_error_is_what_it_says_or_what_it_is(message, told):
    assert first_line(ValueError(message)) == told


def test_of_a_copy_that_found_no_room_the_target_is_named():
    def copy():
        raise OSError(errno.ENOSPC, "No space left on device", "/here/whole", None, "/there/full")

    assert ending(copy) == (
        "No space left on device (/there/full); make room or correct the permissions, then run the same command again",
        1,
    )
