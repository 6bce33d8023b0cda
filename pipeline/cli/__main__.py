"""`python -m pipeline.cli`, for where the `t2v` command is another tree's."""

from pipeline.cli import main

main()
