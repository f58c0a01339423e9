"""Images: the value that codecs and metrics are given, where originals come from, and how files are read."""
