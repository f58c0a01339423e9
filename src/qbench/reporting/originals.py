"""What a run's originals were, and what became of them when they were read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qbench.images.image import SRGB8
from qbench.results.run import Run


@dataclass(frozen=True)
class Originals:
    """What was done to a run's originals when they were read.

    Attributes:
        images: how many there are.
        converted: how many of them were converted.
        conversions: each → names of the images that it touched.
    """

    images: int
    converted: int
    conversions: dict[str, list[str]]

    def __str__(self) -> str:
        """``originals are 8-bit sRGB; 1 of 4 was converted``."""
        if not self.converted:
            return f"originals are {SRGB8}; none was converted"
        verb = "was" if self.converted == 1 else "were"
        return f"originals are {SRGB8}; {self.converted} of {self.images} {verb} converted"


def originals(run: Run) -> Originals:
    """Return what was done to a run's originals when they were read."""
    conversions: dict[str, list[str]] = {}
    converted = 0
    for image in run.plan.images:
        converted += any(not note.endswith(" ignored") for note in image.notes)  # others changed nothing
        for note in image.notes:
            conversions.setdefault(note, []).append(image.name)
    return Originals(len(run.plan.images), converted, conversions)


def originals_content(run: Run) -> dict[str, Any]:
    """Return the same in plain values, with what was passed over when images were looked for."""
    read = originals(run)
    return {
        "format": str(SRGB8),
        "images": read.images,
        "converted": read.converted,
        "conversions": {note: len(names) for note, names in read.conversions.items()},
        "remarks": list(run.remarks),
    }
