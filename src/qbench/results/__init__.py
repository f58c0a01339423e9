"""Results: the records of a run, and the run as rows of values and reasons, which programs and reports read."""
