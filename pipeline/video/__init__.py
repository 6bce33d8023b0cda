"""Pixels without torch: decode, crop, scale, time and encode. ffmpeg starts only in `ffmpeg.py`."""
