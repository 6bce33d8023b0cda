"""Provenance of a file: read, compared with a copy made again, traced back to params, data and code, signed."""
