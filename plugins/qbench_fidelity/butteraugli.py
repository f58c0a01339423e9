"""Butteraugli, by libjxl's own program."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image
from pydantic import Field

from qbench.plugin import Candidates, Column, Direction, Metric, Parameters, PluginError, Reference, Scores
from qbench_fidelity.ssim import require_side

PROGRAM = "butteraugli_main"
LEAST = 8
"""Pixels of a side below which the program repeats the image; nobody knows what that means."""


class ButteraugliParameters(Parameters):
    """Settings of butteraugli."""

    intensity_target: float = Field(80, gt=0, le=10_000, description="nits of the screen's white")


class Butteraugli(Metric):
    """The largest difference that people would see anywhere in the image, in units of about one that is just seen.

    By ``butteraugli_main`` of libjxl, which must be installed. Values of other versions differ; the program's digest is
    part of the run's provenance.
    """

    name = "butteraugli"
    summary = "butteraugli's largest difference and 3-norm, by libjxl's program"
    reference = "Alakuijala et al. 2017, arXiv:1703.04421 (Guetzli); libjxl"
    Parameters: ClassVar = ButteraugliParameters
    columns: ClassVar = (
        Column("butteraugli", Direction.LOWER, 0.0, None, digits=3, title="Butteraugli"),
        Column(
            "norm3",
            Direction.LOWER,
            0.0,
            None,
            digits=3,
            summary="3-norm over the whole image",
            title="Butteraugli 3-norm",
        ),
    )

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The program's digest, as it does not tell its version.

        Raises:
            PluginError: it is not installed.
        """
        return {PROGRAM: f"sha256 {_digest(_program())[:16]}"}

    def prepare(self, reference: Reference) -> None:
        """Refuse images that are too small."""
        require_side(reference, LEAST, "butteraugli")

    def score(self, candidates: Candidates, prepared: Any) -> Sequence[Scores]:
        """Score a batch, one by one."""
        program = _program()
        with tempfile.TemporaryDirectory(prefix="qbench-") as folder:
            original, made = Path(folder) / "original.ppm", Path(folder) / "made.ppm"
            Image.fromarray(candidates.reference.pixels).save(original)
            found = []
            for pixels in candidates.pixels:
                Image.fromarray(pixels).save(made)
                found.append(self._run(program, original, made))
        return found

    def _run(self, program: Path, original: Path, made: Path) -> Scores:
        command = [
            str(program),
            str(original),
            str(made),
            "--intensity_target",
            f"{self.parameters.intensity_target:g}",
        ]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        answer = re.fullmatch(r"\s*([\d.]+)\s+3-norm: ([\d.]+)\s*", ended.stdout)
        if ended.returncode or answer is None:
            raise RuntimeError(
                f"{PROGRAM} ended with {ended.returncode} and said: {ended.stdout} {ended.stderr}".rstrip()
            )
        return {"butteraugli": float(answer[1]), "norm3": float(answer[2])}


def _program() -> Path:
    found = shutil.which(PROGRAM)
    if found is None:
        raise PluginError(
            f"metric butteraugli needs the program {PROGRAM}, which is not installed: apt-get install libjxl-devtools"
        )
    return Path(found)


@cache
def _digest(program: Path) -> str:
    return hashlib.sha256(program.read_bytes()).hexdigest()
