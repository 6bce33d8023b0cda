"""The stages of the graph, one module each; run as `python -m stages.NAME`."""

import sys

try:
    from pipeline.errors import explain_imports  # with Typer, a few tenths of a second
except KeyboardInterrupt:
    print("interrupted: nothing has begun; run the same command again", file=sys.stderr)
    sys.exit(75)  # pipeline.errors.INTERRUPTED

explain_imports()
