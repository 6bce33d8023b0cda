"""One HTML file that shows a run, or several side by side: it needs no network, no server and no other file."""
