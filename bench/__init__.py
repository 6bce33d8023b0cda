"""Benchmarks of speed and memory, side by side with alternatives; they print tables and never assert times."""
