"""Cutting pictures into patches, of which a few pictures give many."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qbench import NotApplicable, Parameters, Pixels


class PatchParameters(Parameters):
    """How pictures become samples."""

    patch: Literal[64, 128, 256] | None = Field(
        None, description="side of the patches that pictures are cut into; by default each is one sample"
    )
    shifted: bool = Field(True, description="cut once more, half a patch down and across, as Mentzer et al. 2020 do")


def patches(pixels: Pixels, parameters: PatchParameters) -> list[Pixels]:
    """Return the whole patches of a picture, row by row, then those of the shifted pass; or the picture itself.

    Raises:
        NotApplicable: it is smaller than a patch.
    """
    side = parameters.patch
    if side is None:
        return [pixels]
    height, width = pixels.shape[:2]
    if min(height, width) < side:
        raise NotApplicable(f"shorter side is {min(height, width)} pixels; a patch has {side}")
    starts = [0, side // 2] if parameters.shifted else [0]
    return [
        pixels[top : top + side, left : left + side]
        for start in starts
        for top in range(start, height - side + 1, side)
        for left in range(start, width - side + 1, side)
    ]
