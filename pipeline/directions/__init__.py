"""Which way a caption says that things move, and the same caption for the mirror image or for the opposite way.

`mirrored` is for flipped frames, `opposite` for counterfactuals and hard negatives, `find_motion` for measuring. All
know English only, take captions, templates and slugs alike, and rather answer None than in doubt. What `mirrored`
and `opposite` give, they turn back into the text they were given, letter for letter.
"""

from pipeline.directions.mirror import Fault, counter_spelling, mirror_fault, mirrored
from pipeline.directions.opposite import find_motion, opposite
from pipeline.directions.rules import COUNTER

__all__ = ["COUNTER", "Fault", "counter_spelling", "find_motion", "mirror_fault", "mirrored", "opposite"]
