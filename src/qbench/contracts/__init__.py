"""Contracts: what plugins implement. ``qbench.plugin`` is the face of this package for plugin authors."""
