"""The models room: which weights there are, where they come from, and whether a file is what it says it is."""

from qbench.models.download import pull
from qbench.models.resolve import find_weights, verify
from qbench.models.weights import Weights

__all__ = ["Weights", "find_weights", "pull", "verify"]
