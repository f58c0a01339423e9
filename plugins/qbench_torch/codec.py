"""A codec around a torch module with ``compress`` and ``decompress``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from qbench.plugin import (
    BitstreamError,
    Codec,
    Complexity,
    Context,
    Image,
    LocalCode,
    LocalFile,
    ModelError,
    Parameters,
    PluginError,
    Weights,
    find_weights,
    load_code,
)
from qbench.toolkit.limits import require_describable
from qbench.toolkit.networks import shared
from qbench_torch import bitstream
from qbench_torch.bitstream import Compressed

Scalar = str | int | float | bool
SAMPLED = 256
"""Values of a tensor that are looked at after each call to see whether it was written to."""


class ModuleCodec(Codec):
    """What codecs around a module have in common.

    The module follows CompressAI's convention: ``compress(x)`` takes 1×3×H×W in [0, 1], sides multiples of
    ``multiple``, and returns ``{"strings": [[bytes], …], "shape": (h, w)}``; ``decompress(strings, shape)`` returns
    ``{"x_hat": 1×3×H×W}``.
    """

    runs_on = "accelerator"
    file_extension = "torch"

    def __init__(self, parameters: Any, context: Context) -> None:
        super().__init__(parameters, context)
        self._weights = tuple(self.weights(parameters, context.profile))
        self._shared: list[StateDict] = []

    @abstractmethod
    def module(self) -> Any:
        """Return the module, in evaluation mode, on the CPU or the context's device."""

    @property
    def multiple(self) -> int:
        """What sides are padded to multiples of."""
        return 64

    @classmethod
    def libraries(cls) -> dict[str, str]:
        """The library that computes."""
        return {"torch": version("torch")}

    def setup(self) -> None:
        """Make the module."""
        _ = self._module

    def encode(self, image: Image) -> bytes:
        """Pad, and let the module compress."""
        import torch

        require_describable(image, bitstream.LONGEST_SIDE)
        height, width = image.height, image.width
        padded = np.pad(image.pixels, ((0, -height % self.multiple), (0, -width % self.multiple), (0, 0)), mode="edge")
        values = torch.from_numpy(padded).permute(2, 0, 1)[None].to(self.context.device).float() / 255
        with torch.inference_mode():
            made = self._module.compress(values)
        self._check()
        strings, shape = _compressed(made)
        return Compressed(width, height, self._mark, shape, strings).write()

    def decode(self, bitstream_: bytes) -> Image:
        """Let the module decompress, and cut off the padding."""
        import torch

        read = bitstream.read(bitstream_)
        if read.mark != self._mark:
            raise BitstreamError("encoded with another model or other weights")
        expected = tuple(-(-length // self.multiple) * self.multiple for length in (read.height, read.width))
        if any(length > side for length, side in zip(read.shape, expected, strict=True)):
            raise BitstreamError(f"latents of {read.shape} can't be those of {read.width}×{read.height} pixels")
        try:
            with torch.inference_mode():
                made = _decompressed(self._module.decompress([[string] for string in read.strings], read.shape))
        except (RuntimeError, ValueError, IndexError, TypeError, OverflowError, MemoryError, AssertionError) as error:
            raise BitstreamError(f"the module can't decompress this: {error}") from error
        self._check()
        if tuple(made.shape) != (1, 3, *expected):
            raise BitstreamError(f"the module made {tuple(made.shape)} of it, not {(1, 3, *expected)}")
        pixels = (255 * made[0].clamp(0, 1)).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return Image(pixels[: read.height, : read.width])

    def parts(self, bitstream_: bytes) -> Mapping[str, int]:
        """The header, and the module's strings."""
        read = bitstream.read(bitstream_)
        named = {f"string {index + 1}": len(string) for index, string in enumerate(read.strings)}
        return {"header": read.header_size, **named}

    def complexity(self, height: int, width: int) -> Complexity:
        """The number of parameters; what a module computes is not known."""
        return Complexity(sum(parameter.numel() for parameter in self._module.parameters()))

    @cached_property
    def _module(self) -> Any:
        return self.module().to(self.context.device)

    def _check(self) -> None:
        if any(state.changed for state in self._shared):
            raise PluginError(
                "torch-codec: the module changes its weights while it codes, which its operating points share; set "
                "own_weights: true"
            )

    @property
    def _mark(self) -> bytes:
        digest = "".join(weights.sha256[:4] for weights in self._weights) or "0000"
        return bytes.fromhex(digest[:4])


CONVENTION = 'CompressAI\'s convention: {"strings": [[bytes], …], "shape": (height, width) of the latents}'


def _compressed(made: Any) -> tuple[list[bytes], tuple[int, int]]:
    """Return strings and shape of what a module's ``compress`` returned.

    Raises:
        PluginError: it is something else than the convention has.
    """
    if not isinstance(made, Mapping) or not {"strings", "shape"} <= made.keys():
        keys = f" with {', '.join(map(str, made))}" if isinstance(made, Mapping) else ""
        raise PluginError(f"the module's compress returned a {type(made).__name__}{keys}; accepted is {CONVENTION}")
    strings, shape = made["strings"], made["shape"]
    if not isinstance(strings, (list, tuple)) or not all(map(_is_of_one_image, strings)):
        raise PluginError(
            "the module's compress is to return in `strings` lists of one bytes object each, as it is given one image "
            f"at a time; accepted is {CONVENTION}"
        )
    try:
        height, width = map(int, shape)
    except (TypeError, ValueError) as error:
        raise PluginError(f"the module's compress returned the shape {shape!r}; accepted is {CONVENTION}") from error
    return [bytes(kind[0]) for kind in strings], (height, width)


def _is_of_one_image(kind: Any) -> bool:
    return isinstance(kind, (list, tuple)) and len(kind) == 1 and isinstance(kind[0], (bytes, bytearray))


def _decompressed(made: Any) -> Any:
    if not isinstance(made, Mapping) or "x_hat" not in made:
        raise PluginError(
            f'the module\'s decompress returned a {type(made).__name__}; accepted is {{"x_hat": 1×3×H×W in [0, 1]}}'
        )
    return made["x_hat"]


class TorchCodecParameters(Parameters):
    """Which module, and its weights."""

    factory: LocalCode = Field(
        "",
        pattern=r"^(.+:[A-Za-z_]\w*)?$",
        description="class or function that builds the module: package.module:Name, or file.py:Name. Required",
    )
    arguments: dict[str, Scalar] = Field({}, description="its keyword arguments")
    checkpoint: LocalFile | None = Field(
        None, min_length=1, description="file with the module's state_dict: .safetensors, or .pt/.pth with tensors only"
    )
    multiple: int = Field(64, ge=1, le=4096, description="sides are padded to multiples of it")
    deterministic: bool = Field(True, description="whether compress gives the same bytes at every call")
    own_weights: bool = Field(
        False,
        description="whether encoder and decoder of each operating point get a copy of the weights",
    )


class TorchCodec(ModuleCodec):
    """Any importable torch module that follows CompressAI's convention of compress and decompress.

    ``compress(x)`` takes 1×3×H×W in [0, 1] and returns ``{"strings": [[bytes], …], "shape": (h, w)}``;
    ``decompress(strings, shape)`` returns ``{"x_hat": 1×3×H×W}``. Where it has an ``update``, that is called once the
    weights are loaded. Naming a factory runs its package's code.
    """

    name = "torch-codec"
    summary = "your own torch module with compress and decompress"
    Parameters: ClassVar = TorchCodecParameters

    @classmethod
    def code(cls, parameters: TorchCodecParameters) -> Sequence[str]:
        """The factory's module or file, and files that its arguments name."""
        if not parameters.factory:
            return ()
        values = [value for value in parameters.arguments.values() if isinstance(value, str) and value]
        files = [str(Path(value).absolute()) for value in values if Path(value).is_file()]
        return (parameters.factory.rpartition(":")[0], *files)

    @classmethod
    def check(cls, parameters: TorchCodecParameters) -> None:
        """Import the factory.

        Raises:
            PluginError: it can't be, or is nothing that can be called.
        """
        if parameters.factory and not callable(load_code(parameters.factory)):
            raise PluginError(f"{parameters.factory} is to be a class or function that returns a torch.nn.Module")

    @classmethod
    def weights(cls, parameters: TorchCodecParameters, profile: str) -> Sequence[Weights]:
        """The checkpoint.

        Raises:
            PluginError: no factory is named.
        """
        if not parameters.factory:
            raise PluginError("torch-codec: name what builds the module, e.g. factory: my_package.models:MyCodec")
        if parameters.checkpoint is None:
            return ()
        path = Path(parameters.checkpoint).expanduser()
        return (Weights.local(path, f"checkpoint in {path}"),)

    @property
    def deterministic(self) -> bool:
        """As the suite says."""
        deterministic: bool = self.parameters.deterministic
        return deterministic

    @property
    def multiple(self) -> int:
        """As the suite says."""
        multiple: int = self.parameters.multiple
        return multiple

    def module(self) -> Any:
        """Import, make and fill the module."""
        import torch

        module: Any = load_code(self.parameters.factory)(**self.parameters.arguments)
        lacking = [name for name in ("compress", "decompress") if not callable(getattr(module, name, None))]
        if not isinstance(module, torch.nn.Module) or lacking:
            raise PluginError(
                f"torch-codec: {self.parameters.factory} made a {type(module).__name__}, not a torch.nn.Module "
                "with compress and decompress"
            )
        states = [StateDict(find_weights(weights), "cpu") for weights in self._weights]
        for state in states:
            state.fill(module, list(state.tensors), strict=True)
        update: Any = getattr(module, "update", None)
        if callable(update):
            update()
        # What update replaced is the module's own; what it left alone is shared, unless it was written to.
        left = [state.held_by(module) for state in states]
        module = module.to(self.context.device).eval().requires_grad_(False)
        if not self.parameters.own_weights:
            for weights, state, names in zip(self._weights, states, left, strict=True):
                self._share(module, weights, state, names)
        return module

    def _share(self, module: Any, weights: Weights, own: StateDict, names: Sequence[str]) -> None:
        """Put the tensors that all share in the place of a module's own, unless it has written to these."""
        path, device = find_weights(weights), self.context.device
        common = shared((weights.sha256, "cpu"), lambda: StateDict(path, "cpu"))
        if not own.equals(common, names):  # it folds layers when it is made, say
            return
        if device != "cpu":
            common = shared((weights.sha256, device), lambda: StateDict(path, device))
        common.fill(module, names, strict=False)
        self._shared.append(common)


class StateDict:
    """The tensors of a checkpoint on a device, which modules share.

    Attributes:
        tensors: by name.
    """

    def __init__(self, path: Path, device: str) -> None:
        """Read a file that contains only tensors.

        Raises:
            ModelError: it holds something else.
        """
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        self._path = path
        try:
            with torch.inference_mode(mode=False):  # whose tensors would not tell whether they were written to
                if path.suffix == ".safetensors":
                    found: dict[str, Any] = load_file(path)
                else:
                    state = torch.load(path, map_location="cpu", weights_only=True)
                    found = state.get("state_dict", state)
                self.tensors = {name: tensor.to(device) for name, tensor in found.items()}
        except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, AttributeError, EOFError) as error:
            raise ModelError(f"{path}: holds no tensors by name: {error}") from error
        except Exception as error:  # unpickling errors are of many kinds
            raise ModelError(f"{path}: contains something other than tensors, or is damaged: {error}") from error
        self._seal = self._sampled()

    def fill(self, module: Any, names: Sequence[str], *, strict: bool) -> None:
        """Make tensors of a module these, without copying those of its types.

        Raises:
            ModelError: they don't fit.
        """
        kinds = {name: tensor.dtype for name, tensor in module.state_dict().items()}
        chosen = {name: self.tensors[name].to(kinds.get(name, self.tensors[name].dtype)) for name in names}
        try:
            module.load_state_dict(chosen, assign=True, strict=strict)
            module.requires_grad_(False)
        except (RuntimeError, ValueError, KeyError, AttributeError) as error:
            raise ModelError(f"{self._path}: its tensors don't fit the module: {error}") from error

    def held_by(self, module: Any) -> list[str]:
        """Return the names of tensors that a module has, and not copies of them."""
        return [
            name
            for name, tensor in module.state_dict().items()
            if name in self.tensors and tensor.data_ptr() == self.tensors[name].data_ptr()
        ]

    def equals(self, other: StateDict, names: Sequence[str]) -> bool:
        """Whether tensors of those names have the same values."""
        import torch

        return all(torch.equal(self.tensors[name], other.tensors[name]) for name in names)

    @property
    def changed(self) -> bool:
        """Whether a tensor was written to, as far as its version and some of its values tell."""
        return self._sampled() != self._seal

    def _sampled(self) -> list[tuple[int, float]]:
        found = []
        for tensor in self.tensors.values():
            flat = tensor.reshape(-1)
            some = flat[:: max(1, flat.numel() // SAMPLED)]
            found.append((tensor._version, float(some.double().nan_to_num().sum()) if flat.numel() else 0.0))
        return found
