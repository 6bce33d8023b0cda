"""How good a generator is: judges that never met its training clips, metrics, and planted controls beside it."""
