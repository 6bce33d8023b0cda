"""Draws the embedded dataset: clips of a hand that moves an object, labelled like Something-Something-V2."""
