"""The settings of the codec."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from qbench.plugin import LocalFile, Parameters
from qbench_gan.inversion import Search

THESIS = {"optimiser": "sgd", "rate": 1.0, "patience": 10, "iterations": 30_000, "start": "random"}
"""What the preset `thesis` means (Minchev 2022)."""
DEFAULT = {"optimiser": "adam", "rate": 0.05, "patience": 0, "iterations": 100, "start": "auto"}


class InversionParameters(Parameters):
    """Settings of the GAN inversion."""

    generator: LocalFile | None = Field(
        None,
        min_length=1,
        description="a generator's name, or a file: TorchScript (.pt, .ts), or .safetensors of `qbench train gan`; "
        "by default the profile's own",
    )
    mode: Literal["whole", "tile"] = Field(
        "whole",
        description="one latent for the whole image, resized to the generator's size and back; or one per tile",
    )
    overlap: int = Field(8, ge=0, le=255, description="pixels in which neighbouring tiles overlap and are blended")
    preset: Literal["default", "thesis"] = Field(
        "default", description="defaults of optimiser, rate, patience, iterations and start"
    )
    optimiser: Literal["sgd", "adam", "lbfgs"] | None = Field(None, description="optimiser of the latent search")
    iterations: int | None = Field(None, ge=0, le=10_000_000, description="maximum number")
    rate: float | None = Field(None, gt=0, description="initial learning rate")
    patience: int | None = Field(
        None,
        ge=0,
        description="iterations without improvement before the rate is divided by ten; 0: half a cosine instead",
    )
    stop_after: int = Field(0, ge=0, le=20, description="stop after this many divisions of the rate; 0: never")
    seconds: float = Field(
        0.0, ge=0, description="seconds after which to stop; 0: never. Results then depend on the machine"
    )
    start: Literal["auto", "encoder", "mean", "random"] | None = Field(
        None, description="start of the search; auto: the generator's encoder if it has one, else random"
    )
    restarts: int = Field(
        1, ge=1, le=256, description="number of starts, of which the best is kept; all but the first are random"
    )
    losses: dict[str, float] = Field(
        {"mse": 1.0}, min_length=1, description="objective: weights of mse and of losses from plugins"
    )
    coder: Literal["uniform", "qsgd"] = Field(
        "uniform", description="uniform quantiser with range coding; or the thesis's QSGD with Elias omega codes"
    )
    bits: float = Field(4, ge=0.25, le=8, description="approximate bits per latent element; an integer with qsgd")
    refine: int = Field(
        30, ge=0, le=100_000, description="iterations through the quantiser, after the search (uniform only)"
    )
    exact: bool = Field(False, description="decode in float64, to the same pixels on every machine; slower")
    snapshots: int = Field(0, ge=0, description="iterations between images saved as artifacts; 0: none")
    thesis_exact: bool = Field(
        False, description="reproduce the thesis's errors: fitted to [0, 1], stretched when saved, zeros coded as ones"
    )

    @model_validator(mode="after")
    def _consistent(self) -> InversionParameters:
        if self.coder == "qsgd" and (self.bits < 1 or self.bits != int(self.bits)):
            raise ValueError(f"bits: {self.bits} is not accepted with coder qsgd; accepted: 1, 2, … 8")
        if any(not weight > 0 for weight in self.losses.values()):
            raise ValueError("losses: weights must be above 0")
        return self

    def search(self) -> Search:
        """Return the search that these settings mean."""
        chosen_values = {name: self._chosen(name) for name in ("optimiser", "iterations", "rate", "patience")}
        return Search(**chosen_values, stop_after=self.stop_after, seconds=self.seconds, snapshots=self.snapshots)

    @property
    def beginning(self) -> str:
        """Where the search begins."""
        return str(self._chosen("start"))

    def _chosen(self, name: str) -> Any:
        value = getattr(self, name)
        return value if value is not None else {"default": DEFAULT, "thesis": THESIS}[self.preset][name]

    @property
    def precision(self) -> int:
        """Quarter-octave exponent of the quantiser's step: a step of 2^(2-bits) takes about so many bits."""
        return int(self.bits) if self.coder == "qsgd" else round(4 * (2 - self.bits))
