"""`t2v`: the commands around `dvc repro`. Nothing is imported here, so that Ctrl-C is answered from the start."""

import sys

STARTING = 130  # exit code after Ctrl-C before a command has begun, as shells report a program that SIGINT has ended


def main() -> None:
    """Run one command; invalid input ends it with a message, never with a traceback."""
    try:
        from pipeline.cli.commands import run_command  # Typer takes a few tenths of a second
    except KeyboardInterrupt:
        print("interrupted: nothing has begun; run the same command again", file=sys.stderr)
        sys.exit(STARTING)
    run_command()
