"""The store: the run folder with its journal, the cache across runs, and other tools' files."""
