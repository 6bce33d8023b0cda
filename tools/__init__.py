"""Scripts for setting up, for counts of the code, and for changed files."""
