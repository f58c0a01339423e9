"""The suite room: reading, validating and describing suites. It runs nothing."""

from qbench.suite.load import load_metrics, load_settings, load_suite
from qbench.suite.model import ImagesEntry, Keep, MetricSpec, PointSpec, Settings, Suite, TimingOptions

__all__ = [
    "ImagesEntry",
    "Keep",
    "MetricSpec",
    "PointSpec",
    "Settings",
    "Suite",
    "TimingOptions",
    "load_metrics",
    "load_settings",
    "load_suite",
]
