"""A model over HTTP: the page of its run, and clips of captions that someone types."""
