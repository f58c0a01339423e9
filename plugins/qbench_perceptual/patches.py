"""Cutting images into patches, of which a few images give many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from qbench.plugin import Context, Embed, Image, NotApplicable, Parameters


class PatchParameters(Parameters):
    """How images become samples."""

    patch: Literal[64, 128, 256] | None = Field(
        None, description="side of the patches that images are cut into; by default each image is one sample"
    )
    shifted: bool = Field(
        True, description="also cut a grid shifted by half a patch down and across, as Mentzer et al. 2020 do"
    )


def patches(image: Image, parameters: PatchParameters) -> list[Image]:
    """Return the whole patches of an image, row by row, then those of the shifted pass; or the image itself.

    Raises:
        NotApplicable: it is smaller than a patch.
    """
    side = parameters.patch
    if side is None:
        return [image]
    height, width = image.height, image.width
    if min(height, width) < side:
        raise NotApplicable(f"shorter side is {min(height, width)} pixels; a patch has {side}")
    starts = [0, side // 2] if parameters.shifted else [0]
    return [
        image.crop(top, left, side, side)
        for start in starts
        for top in range(start, height - side + 1, side)
        for left in range(start, width - side + 1, side)
    ]


def embedded(embed: Embed, cut: Sequence[Sequence[Image]], context: Context) -> list[npt.NDArray[np.float32]]:
    """Return the features of each image's patches: on an accelerator of all images at once, which keeps it busy."""
    if context.device == "cpu":
        return [embed(parts) for parts in cut]
    found = embed([part for parts in cut for part in parts])
    return np.split(found, np.cumsum([len(parts) for parts in cut])[:-1])
