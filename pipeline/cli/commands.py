"""The commands of `t2v`. Each module has one or a few of them, and is imported when one is called."""

import io
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from pipeline.errors import Interrupted, guard

# Command -> its line in `t2v --help`, here since importing the commands takes seconds.
# A command is the function of the same name in pipeline/cli/NAME.py, or that module's `app` if it has sub-commands.
COMMANDS = {
    "plan": "Estimate memory, FLOPs and hours of a training.",
    "train": "Train, or profile a few steps (--profile).",
    "sample": "Sample clips for a caption.",
    "export": "Export a trained model as a folder to share.",
    "evaluate": "Evaluate a folder of videos like a run.",
    "blindtest": "Analyse the answers of a blind test.",
    "compare": "Compare two evaluations, metric by metric.",
    "report": "Write an HTML report of one run or several.",
    "reproduce": "Reproduce rendered files and compare the bytes.",
    "verify": "Check seals, signatures and stage outputs.",
    "lineage": "Trace a file or a metric back to params, data and code.",
    "sign": "Sign a rendered file as AI-generated (C2PA).",
    "serve": "Serve the report of a run, and clips for any caption.",
    "sweep": "Train one model for each combination of values.",
    "recipe": "Write params.yaml from a recipe, or compare it with one.",
    "clips": "Inspect clips: contents, drops, near-duplicates.",
    "words": "Query the word vectors.",
    "doctor": "Check that this machine has what the pipeline needs.",
    "prepare": "Configure DVC for this machine (run by `make`).",
}
# Command -> the module of another command that it is in.
SHARED = {
    "plan": "train",
    "serve": "sample",
    "compare": "runs",
    "report": "runs",
    "reproduce": "verify",
    "sign": "verify",
}

JsonOption = Annotated[bool, typer.Option("--json", help="print the result as JSON")]  # of every command that has it


class Commands(TyperGroup):
    """Lists the commands without importing their modules."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=line) for name, line in COMMANDS.items()}

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C, which Typer would end with code 130 and no message, ends it as it ends a stage."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command to run, whose module is imported here."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(str(name)) if command else None, rest


def load_command(name: str) -> Any:
    """The command with its arguments and help."""
    module = import_module(f"pipeline.cli.{SHARED.get(name, name)}")
    if hasattr(module, "app"):
        return typer.main.get_command(module.app)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command()(getattr(module, name))
    return typer.main.get_command(single)


app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # takes 20 ms

        typer.echo(f"t2v {version('t2v')}")
        raise typer.Exit


@app.callback()
def t2v(
    version: Annotated[
        bool, typer.Option("--version", help="show the version and exit", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Labelled videos in, an evaluated text-to-video generator out: the commands around `dvc repro`."""


def run_command() -> None:
    """Run one command; invalid input ends it with a message, never with a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # names and captions need not be in the terminal's encoding
    guard(app)
