"""Scripts for installation, code statistics and fuzzing."""
