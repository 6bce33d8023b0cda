"""Training: shards and captions in, a generator out. Stops and resumes without a trace in the result."""
