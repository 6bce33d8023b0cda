"""How good a generator is: a judge that was trained on other clips, metrics, and controls that they must reject."""
