"""PSNR-HVS and PSNR-HVS-M: errors of 8×8 cosine coefficients as sensitive eyes weigh them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from qbench.plugin import Candidates, Column, Direction, Metric, Pixels, PluginError, Reference, Scores
from qbench_fidelity.error import psnr
from qbench_fidelity.planes import REC601
from qbench_fidelity.ssim import require_side

BLOCK = 8


class PsnrHvs(Metric):
    """PSNR of BT.601 luma (full range), its error taken in 8×8 blocks and weighted by contrast sensitivity.

    Column ``m`` (PSNR-HVS-M) also leaves out what the blocks' own contrast masks. Rows and columns beyond the last
    whole block don't count, as in the authors' program. Identical images give infinity (theirs gives 100000).
    """

    name = "psnr-hvs"
    summary = "PSNR weighted by contrast sensitivity, and with masking (PSNR-HVS, PSNR-HVS-M)"
    reference = "Egiazarian et al. 2006, VPQM; Ponomarenko et al. 2007, VPQM"
    columns: ClassVar = (
        Column("psnr-hvs", Direction.HIGHER, None, None, "dB", 2, title="PSNR-HVS"),
        Column("m", Direction.HIGHER, None, None, "dB", 2, "PSNR-HVS-M: with contrast masking", title="PSNR-HVS-M"),
    )

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The package that computes it.

        Raises:
            PluginError: it is not installed.
        """
        _library()
        return {"psnr_hvsm": version("psnr_hvsm")}

    def prepare(self, reference: Reference) -> npt.NDArray[np.float64]:
        """Compute the original's luma."""
        require_side(reference, BLOCK, "an 8×8 block")
        return _luma(reference.pixels)

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch."""
        found = []
        for pixels in candidates.pixels:
            with np.errstate(invalid="ignore"):  # flat blocks divide 0 by 0 on the way, and are seen to afterwards
                errors = _library().hvs_hvsm_mse(prepared, _luma(pixels))
            plain, masked = (psnr(255.0**2 * float(error)) for error in errors)
            found.append({"psnr-hvs": plain, "m": masked})
        return found


def _luma(pixels: Pixels) -> npt.NDArray[np.float64]:
    height, width = (length // BLOCK * BLOCK for length in pixels.shape[:2])
    found: npt.NDArray[np.float64] = pixels[:height, :width] @ (np.array(REC601) / 255)
    return found


def _library() -> Any:
    try:
        # It prints what it thinks is missing.
        with contextlib.redirect_stdout(io.StringIO()):
            return import_module("psnr_hvsm")
    except ImportError as error:
        raise PluginError(
            "metric psnr-hvs needs the package psnr_hvsm, which is not installed: pip install 'qbench[hvs]'"
        ) from error
