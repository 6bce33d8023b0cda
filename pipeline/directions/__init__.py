"""Which way a clip moves, and its caption for the mirror image or for the opposite direction.

`table.Directions` answers for a dataset: by the dataset's own phrases, and by rules for English. `mirror` is for
flipped frames, `find_opposite` for counterfactuals and hard negatives, `find_motion` for measuring. They take captions,
templates and slugs alike, and return None where there is doubt. Applied to their own result, `mirror` and
`find_opposite` return the text that they were given, letter for letter.
"""
