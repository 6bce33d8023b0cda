"""The project's modules as syntax trees, and what each imports; nothing is executed."""

from pipeline.source_code import ROOT, find_loaded, module_name, modules, parse, read_imports

MODULES = modules()
SOURCES = sorted(MODULES.values())

__all__ = ["MODULES", "ROOT", "SOURCES", "find_loaded", "module_name", "parse", "read_imports"]
