"""CompressAI's zoo."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from qbench.plugin import LocalFile, ModelError, Parameters, PluginError, RateParameter, Weights, find_weights
from qbench_torch.codec import ModuleCodec

OWNER = "compressai/"


class CompressAiParameters(Parameters):
    """Which of CompressAI's models."""

    architecture: str = Field(
        "bmshj2018-hyperprior",
        min_length=1,
        description="name in CompressAI's zoo: mbt2018-mean, cheng2020-attn, …",
    )
    quality: int = Field(4, ge=1, le=8, description="of the published checkpoints; 1 is smallest, 6 or 8 best")
    trained_for: Literal["mse", "ms-ssim"] = Field("mse", description="distortion metric of the published checkpoint")
    checkpoint: LocalFile | None = Field(
        None, min_length=1, description="file with a state_dict of that architecture, not the published one"
    )


class CompressAi(ModuleCodec):
    """A model of CompressAI's zoo (Bégaint et al. 2020). Needs ``pip install 'qbench[compressai]'``.

    Published checkpoints are fetched by ``qbench models pull compressai/ARCHITECTURE-METRIC-QUALITY``. Their entropy
    coders' tables come from floating-point networks: a bitstream may not decode on another device.
    """

    name = "compressai"
    summary = "a model of CompressAI's zoo; pip install 'qbench[compressai]'"
    reference = "Bégaint et al. 2020, arXiv:2011.03029, and the architecture's own paper"
    Parameters: ClassVar = CompressAiParameters

    @classmethod
    def weights(cls, parameters: CompressAiParameters, profile: str) -> Sequence[Weights]:
        """The published checkpoint, or the file that is given."""
        if parameters.checkpoint is not None:
            path = Path(parameters.checkpoint).expanduser()
            return (Weights.local(path, f"{parameters.architecture} in {path}"),)
        return (published(parameters.architecture, parameters.trained_for, parameters.quality),)

    @classmethod
    def rate_parameter(cls, parameters: CompressAiParameters) -> RateParameter:
        """Quality."""
        return RateParameter("quality", 1, 6)

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The versions of CompressAI and torch."""
        _library("compressai")
        return {"compressai": version("compressai"), **super().libraries()}

    def module(self) -> Any:
        """Make the architecture that fits the checkpoint, and fill it."""
        classes = _library("compressai.zoo.image").model_architectures
        architecture = self.parameters.architecture
        if architecture not in classes:
            raise PluginError(f"compressai: no architecture {architecture!r}; available: {', '.join(classes)}")
        path = find_weights(self._weights[0])
        state = _library("compressai.zoo.pretrained").load_pretrained(_tensors(path))
        try:
            module = classes[architecture].from_state_dict(state)
        except (RuntimeError, KeyError, ValueError, IndexError) as error:
            raise ModelError(f"{path}: does not fit {architecture}: {error}") from error
        module.update(force=True)
        return module.eval().requires_grad_(False)


def published(architecture: str, metric: str, quality: int) -> Weights:
    """Return a published checkpoint.

    Raises:
        ModelError: there is none.
        PluginError: CompressAI is not installed.
    """
    urls = _library("compressai.zoo.image").model_urls
    url = urls.get(architecture, {}).get(metric, {}).get(quality)
    if url is None:
        known = [f"{name}-{other}-{level}" for name in urls for other in urls[name] for level in urls[name][other]]
        raise ModelError(
            f"compressai publishes no {architecture}-{metric}-{quality}; available: {', '.join(known[:3])}, … "
            f"{known[-1]}"
        )
    digits = re.search(r"-([0-9a-f]{8,64})\.pth\.tar$", url)
    return Weights(
        name=f"{OWNER}{architecture}-{metric}-{quality}",
        summary=f"CompressAI's {architecture} for {metric}, quality {quality}",
        source=url,
        sha256=digits[1] if digits else "",
        size=0,
        licence="BSD-3-Clause-Clear",
        provenance="CompressAI's zoo, Bégaint et al. 2020",
        convert=convert,
    )


def find(name: str) -> Weights | None:
    """Return the published checkpoint of a name like ``compressai/mbt2018-mean-mse-3``; None if it is no such name."""
    found = re.fullmatch(rf"{OWNER}(.+)-(mse|ms-ssim)-(\d)", name)
    return published(found[1], found[2], int(found[3])) if found else None


def convert(original: Path, converted: Path) -> None:
    """Write the tensors of a published checkpoint as safetensors; nothing but tensors is unpickled."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in _tensors(original).items()}, converted)


def _tensors(path: Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        return load_file(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling errors are of many kinds
        raise ModelError(f"{path}: contains something other than tensors, or is damaged: {error}") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise ModelError(f"{path}: holds no state_dict")
    return state


def _library(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise PluginError(
            "codec compressai needs the package compressai, which is not installed: pip install 'qbench[compressai]'"
        ) from error
