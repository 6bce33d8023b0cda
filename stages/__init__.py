"""The stages of the graph, one module each; run as `python -m stages.NAME`."""

from pipeline.errors import explain_imports

explain_imports()
