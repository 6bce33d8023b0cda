"""Errors that a user can act on, and the one way a command ends because of them."""

import errno
import functools
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import typer

INTERRUPTED = 75  # EX_TEMPFAIL: stopped on request, run again to continue. Never 0: DVC would lock half a result
NO_SCRATCH = "No usable temporary directory"  # so says Python where no folder for temporary files takes a byte

DEBUG = "T2V_DEBUG"  # the variable that has the traceback of every error shown before its message
LONGEST_FAULT = 400  # letters: room for what is wrong and for a long path


class UserError(Exception):
    """Bad input or surroundings: the message names the file, the value and the remedy."""


class Interrupted(Exception):
    """The work was stopped on request after saving what was done."""


def run(main: Callable[..., Any]) -> None:
    """Run `main` as a command line; end with one clear message instead of a traceback.

    Exit code 1 for bad input and a full disk, 75 after an interruption.
    """

    @functools.wraps(main)
    def command(*args: Any, **options: Any) -> None:
        try:
            main(*args, **options)
        except KeyboardInterrupt:  # Typer would end with 130 and without our message
            raise Interrupted from None

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    guard(app)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within it, an OSError that names no file names this one: what writes to a full disk does not know its name."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def guard(command: Callable[[], Any]) -> None:
    """Call `command`; turn the errors that a user can act on into a message and an exit code."""
    if ended := catch_fault(command):
        message, code = ended
        if code == INTERRUPTED:
            message = f"{message or 'nothing half-written was kept'}; run the same command again"
        print(f"{'interrupted' if code == INTERRUPTED else 'error'}: {message}", file=sys.stderr)
        sys.exit(code)


def first_line(error: BaseException) -> str:
    """The first line of an error's message; the name of its class where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def outer_lines(text: str) -> str:
    """The first and the last line of a text, where many libraries name the fault and its cause; joined, or the one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ... ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))


def describe_fault(error: BaseException) -> str:
    """What is wrong with a file, in one line, by the error that reading it raised.

    Python's own words for an absent key are that key alone, and for a value of another kind they speak of our code.
    """
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, KeyError) and text and " " not in text:  # libraries raise it with a sentence
        return f"{text!r} is absent"
    if isinstance(error, AttributeError | IndexError | StopIteration | TypeError):
        return "its values are of another shape"
    return textwrap.shorten(text, LONGEST_FAULT) or type(error).__name__


def catch_fault(command: Callable[[], Any]) -> tuple[str, int] | None:
    """Call `command` -> the message and the exit code of an error that a user can act on, None where all went well."""
    try:
        command()
    except (UserError, Interrupted, KeyboardInterrupt, OSError) as error:
        if ended := explain(error):
            if os.environ.get(DEBUG):
                traceback.print_exception(error)
            return ended
        raise
    return None


def explain(error: BaseException) -> tuple[str, int] | None:
    """The message and the exit code of an error that a user can act on; None of any other."""
    if isinstance(error, UserError):
        return escape_controls(str(error)), 1
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return escape_controls(str(error)), INTERRUPTED
    if not isinstance(error, OSError):
        return None
    named = escape_controls(str(error.filename2 or error.filename or ""))  # of a copy: what it writes
    if named and error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        return f"{named}: a file where a folder is needed, or a folder where a file is; name another place", 1
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
        detail = os.strerror(error.errno) + (f" ({named})" if named else "")  # Arrow has words of its own
    elif NO_SCRATCH in str(error.strerror):
        detail = str(error.strerror)
    else:
        return None
    return f"{detail}; make room or correct the permissions, then run the same command again", 1


def escape_controls(text: str) -> str:
    """The text without what a terminal would obey: messages cite names and values of strangers' files."""
    return "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in text)


def explain_imports() -> None:
    """Have an error that ends this process before its command is called, at an import, told like any other.

    torch looks for a folder for temporary files as it is imported, and a full disk has none.
    """

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        ended = explain(error)
        if ended and ended[1] != INTERRUPTED:  # the exit code of what is not caught is 1
            print(f"error: {ended[0]}", file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = tell
