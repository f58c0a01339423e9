"""The plan of a run: ``types`` says what it is, ``making`` makes it of a suite, its images and the registry."""
