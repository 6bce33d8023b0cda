"""Evaluation of a generator: metrics, some by a judge trained on other clips, and the controls that test them."""
