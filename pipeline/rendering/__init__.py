"""Grids of samples and contact sheets, and the files that they are written to."""
