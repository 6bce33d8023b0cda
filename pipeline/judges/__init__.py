"""Judges: networks trained on real clips of the `judge` split, which measure generated ones."""
