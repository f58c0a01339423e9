"""Files that people look at beside a number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Artifact:
    """Something that a person wants to see beside a result: a loss curve, a map of a metric, the latent as an image.

    Attributes:
        name: a file name whose ending says what it is: ``"loss.csv"``, ``"latent.png"``.
        data: the file's contents.
        summary: one line on what it shows.
    """

    name: str
    data: bytes
    summary: str = ""
