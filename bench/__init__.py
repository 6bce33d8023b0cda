"""Side-by-side measures of speed and memory; each prints a table and never asserts a time."""
