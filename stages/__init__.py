"""The stages of the graph, one module each; run as `python -m stages.NAME`."""

import gc
import sys

# The imports of a stage make many objects and hardly any garbage; searching them for it took a tenth to a quarter of
# the CPU time of a stage of a tiny project.
# `-m` stands in sys.argv while Python looks for the stage: not where another program or a worker process imports it.
if sys.argv[:1] == ["-m"]:
    gc.disable()  # until `pipeline.errors.run`

try:
    from pipeline.errors import explain_imports  # with Typer, a few tenths of a second
except KeyboardInterrupt:
    print("interrupted: nothing has begun; run the same command again", file=sys.stderr)
    sys.exit(75)  # pipeline.errors.INTERRUPTED

explain_imports()
