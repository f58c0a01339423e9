"""The registry: every extension point, and what the installed plugins offer there."""
