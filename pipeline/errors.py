"""Errors that a user can act on, and the one way a command ends because of them."""

import errno
import functools
import sys
from collections.abc import Callable
from typing import Any

import typer

INTERRUPTED = 75  # EX_TEMPFAIL: stopped on request, run again to continue. Never 0: DVC would lock half a result


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


def guard(command: Callable[[], Any]) -> None:
    """Call `command`; turn the errors that a user can act on into a message and an exit code."""
    if ended := ending(command):
        message, code = ended
        if code == INTERRUPTED:
            message = f"{message or 'nothing half-written was kept'}; run the same command again"
        print(f"{'interrupted' if code == INTERRUPTED else 'error'}: {message}", file=sys.stderr)
        sys.exit(code)


def first_line(error: BaseException) -> str:
    """The first line of an error's message; the name of its class where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def ending(command: Callable[[], Any]) -> tuple[str, int] | None:
    """Call `command` -> the message and the exit code of an error that a user can act on, None where all went well."""
    try:
        command()
    except UserError as error:
        return str(error), 1
    except (Interrupted, KeyboardInterrupt) as error:
        return str(error), INTERRUPTED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        named = error.filename2 or error.filename  # of a copy: what it writes
        where = f" ({named})" if named else ""
        return f"{error.strerror}{where}; make room or correct the permissions, then run the same command again", 1
    return None
