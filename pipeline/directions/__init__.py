"""Which way a caption says that things move, and the same caption for the mirror image or for the opposite way.

`mirrored` is for flipped frames, `opposite` for counterfactuals and hard negatives, `find_motion` for measuring. All
know English only, take captions, templates and slugs alike, and return None where there is doubt. Applied to their own
result, `mirrored` and `opposite` return the text that they were given, letter for letter.
"""

from pipeline.directions.mirror import Fault, find_counter_spelling, find_mirror_fault, mirrored
from pipeline.directions.opposite import find_motion, opposite
from pipeline.directions.rules import COUNTER

__all__ = ["COUNTER", "Fault", "find_counter_spelling", "find_mirror_fault", "find_motion", "mirrored", "opposite"]
