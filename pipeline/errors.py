"""Errors that a user can act on, and how commands end with them."""

import difflib
import errno
import functools
import gc
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import typer

INTERRUPTED = 75  # EX_TEMPFAIL: stopped on request, run again to continue. Not 0: DVC would lock an incomplete result
NO_SCRATCH = "No usable temporary directory"  # Python's message if no folder for temporary files is writable
FULL_OR_FORBIDDEN = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
# Of a path that this file system does not take: a name that is too long, links in a circle, a file that is too large.
UNFIT = (errno.ENAMETOOLONG, errno.ELOOP, errno.EFBIG)
NO_UNICODE = "surrogates not allowed"  # Python's reason if text from the command line is not in the terminal's encoding

DEBUG = "T2V_DEBUG"  # the environment variable that shows tracebacks before messages
AROUND = 30  # characters shown on either side of one that is not UTF-8
LONGEST_FAULT = 400  # characters: enough for a fault and a long path


class UserError(Exception):
    """Invalid input or environment; the message names the file, the value and the remedy."""


class Interrupted(Exception):
    """The work was stopped on request, after its state was saved."""


def run(main: Callable[..., Any]) -> None:
    """Run `main` as a command; end with a message instead of a traceback.

    Exit code 1 for invalid input and a full disk, 75 after an interruption.
    """

    @functools.wraps(main)
    def command(*args: Any, **options: Any) -> None:
        try:
            main(*args, **options)
        except KeyboardInterrupt:  # Typer would end with 130 and without our message
            raise Interrupted from None

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    if not gc.isenabled():  # see stages/__init__.py
        gc.freeze()  # what was imported stays: later searches leave it out
        gc.enable()
    guard(app)


def spell_count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun, for messages: 1 key, 1,200 keys."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def name_install(extra: str) -> str:
    """The command that installs an extra of this project, for messages; run in its folder."""
    return f"pip install -c constraints.txt -e '.[{extra}]'"


def suggest_name(name: str, names: Iterable[str]) -> str:
    """A suggestion of the most similar name, for the end of a message; empty if none is similar."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """A context that adds this path to an OSError without one, such as that of a write to a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def guard(command: Callable[[], Any]) -> None:
    """Call `command`; turn the errors that a user can act on into a message and an exit code."""
    if ended := catch_fault(command):
        _end(*ended)


def _end(message: str, code: int) -> NoReturn:
    """Print a message of `explain`, and end with its exit code."""
    if code == INTERRUPTED:
        message = f"{message or 'nothing half-written was kept'}; run the same command again"
    print(f"{'interrupted' if code == INTERRUPTED else 'error'}: {message}", file=sys.stderr)
    sys.exit(code)


def first_line(error: BaseException) -> str:
    """The first line of an error's message; without a message, the name of its class."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def outer_lines(text: str) -> str:
    """The first and the last line of a text, joined: in many libraries' messages, the fault and its cause."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ... ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))


def describe_fault(error: BaseException) -> str:
    """What is wrong with a file, in one line, from the error raised on reading it.

    Python's message for a missing key is only that key, and for a value of a wrong type it is about this code.
    """
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, KeyError) and text and " " not in text:  # libraries raise it with a sentence
        return f"{text!r} is absent"
    if isinstance(error, AttributeError | IndexError | StopIteration | TypeError):
        return "its values are of another shape"
    return textwrap.shorten(text, LONGEST_FAULT) or type(error).__name__


def catch_fault(command: Callable[[], Any]) -> tuple[str, int] | None:
    """Call `command` -> the message and the exit code of an error that a user can act on; None if it succeeds."""
    try:
        command()
    except (UserError, Interrupted, KeyboardInterrupt, OSError, UnicodeEncodeError) as error:
        if ended := explain(error):
            if os.environ.get(DEBUG):
                traceback.print_exception(error)
            return ended
        raise
    return None


def explain(error: BaseException) -> tuple[str, int] | None:
    """The message and the exit code of an error that a user can act on; None for any other."""
    if isinstance(error, UserError):
        return escape_controls(str(error)), 1
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return escape_controls(str(error)), INTERRUPTED
    if isinstance(error, UnicodeEncodeError) and error.reason == NO_UNICODE:
        around = error.object[max(error.start - AROUND, 0) : error.end + AROUND]
        return f"{around!r} is not UTF-8; write or name it in UTF-8", 1
    if not isinstance(error, OSError):
        return None
    named = escape_controls(str(error.filename2 or error.filename or ""))  # of a copy: the destination
    if named and error.errno in IN_THE_WAY:
        return f"{named}: a file where a folder is needed, or a folder where a file is; name another place", 1
    if named and error.errno in UNFIT:
        return f"{named}: {os.strerror(error.errno)}; name another place", 1
    if error.errno in FULL_OR_FORBIDDEN:
        detail = os.strerror(error.errno) + (f" ({named})" if named else "")  # strerror, since Arrow has other messages
    elif NO_SCRATCH in str(error.strerror):
        detail = str(error.strerror)
    else:
        return None
    return f"{detail}; make room or correct the permissions, then run the same command again", 1


def escape_controls(text: str) -> str:
    """The text with control characters escaped, since messages quote names and values from untrusted files."""
    return "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in text)


def explain_imports() -> None:
    """Report errors of imports, before the command is called, like those of commands.

    torch looks for a folder for temporary files when it is imported, and fails on a full disk. Imports take seconds, in
    which Ctrl-C may be pressed.
    """

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if ended := explain(error):
            _end(*ended)  # Python takes the exit code of a SystemExit from a hook
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = tell
