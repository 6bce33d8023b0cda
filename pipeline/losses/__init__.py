"""Adversarial losses and penalties: pure functions on raw logits, and the dicts that name them."""
