"""Execution: coding, scoring, timing, and who does it. It never prints."""
