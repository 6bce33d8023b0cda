"""Provenance of a file: read, compared with a copy made again, signed; and the lock files behind it."""
