"""Entry point of `python -m pipeline.cli`, for when the installed `t2v` command belongs to another checkout."""

from pipeline.cli import main

main()
