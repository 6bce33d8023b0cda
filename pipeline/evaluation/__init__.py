"""How good a generator is: a judge that was trained on other clips, metrics, and planted controls beside it."""
