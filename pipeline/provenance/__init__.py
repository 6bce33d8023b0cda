"""The provenance of files: reading, comparing and signing it, and DVC's lock files."""
