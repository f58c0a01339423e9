"""Cutting images into patches, of which a few images give many."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qbench.plugin import Image, NotApplicable, Parameters


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
