"""Suites: reading, validating and describing them. Nothing is run."""
