"""Labels on disk -> chosen clips: a reader per format, cleaning, categories, objects, splits."""
