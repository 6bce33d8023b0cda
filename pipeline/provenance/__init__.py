"""What made a file: read, compared with one made again, walked back to params, data and code, signed."""
