"""Models: where weights come from, and whether a file is what it says it is."""
