"""`t2v`: the commands around `dvc repro`. One module per command."""

import typer

from pipeline.cli import clips, words
from pipeline.cli.compare import compare
from pipeline.cli.doctor import doctor
from pipeline.cli.evaluate import evaluate
from pipeline.cli.plan import plan
from pipeline.cli.prepare import prepare
from pipeline.cli.sample import sample
from pipeline.cli.sweep import sweep
from pipeline.cli.train import train
from pipeline.errors import guard

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (plan, train, sample, evaluate, compare, sweep, doctor, prepare):
    app.command()(command)
app.add_typer(clips.app, name="clips")
app.add_typer(words.app, name="words")


@app.callback()
def t2v() -> None:
    """Labelled videos in, an evaluated text-to-video generator out: the commands around `dvc repro`."""


def main() -> None:
    """Run one command; bad input ends it with a message, never with a traceback."""
    guard(app)
