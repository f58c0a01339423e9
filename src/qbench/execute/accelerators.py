"""Accelerators: which there are, what decides results and times there, and how networks compute on them."""

from __future__ import annotations

import contextlib
import ctypes.util
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from qbench.errors import DeviceError
from qbench.planning.types import OperatingPoint, PlannedMetric
from qbench.toolkit._precision import WITHOUT_TF32, set_precision
from qbench.toolkit.parallel import no_rounding_shortcuts

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""Without which cuBLAS may add in another order each time; read when it is first used."""


def accelerators(wanted: str) -> tuple[str, ...]:
    """Return torch devices for ``auto``, ``cpu``, ``cuda`` or ``cuda:n``; none for a processor.

    Several are of one model, that of the first.

    Raises:
        DeviceError: not one of these, or not available.
    """
    if wanted == "cpu":
        return ()
    if wanted == "auto" and not _may_have_one():
        return ()  # known without importing torch, which takes seconds
    match = re.fullmatch(r"auto|cuda(?::(\d+))?", wanted)
    if match is None:
        raise DeviceError(f"unknown device `{wanted}`; accepted: auto, cpu, cuda, cuda:0, cuda:1, …")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto" and count == 0:
        return ()
    index = int(match[1] or 0)
    if index >= count:
        found = f"there are {count}, numbered from 0" if count else f"torch {torch.__version__} finds no CUDA device"
        raise DeviceError(f"device `{wanted}` is not available: {found}")
    if match[1]:
        return (f"cuda:{index}",)
    names = [torch.cuda.get_device_name(number) for number in range(count)]
    return tuple(f"cuda:{number}" for number, name in enumerate(names) if name == names[0])


def devices_for(participants: Iterable[OperatingPoint | PlannedMetric], wanted: str) -> tuple[str, ...]:
    """Return the accelerators that codecs and metrics are given: none is looked for, by torch, where none is needed.

    Raises:
        DeviceError: as :func:`accelerators`.
    """
    needed = any(each.runs_on == "accelerator" for each in participants)
    return accelerators(wanted) if needed or wanted != "auto" else ()


def resolve_device(wanted: str) -> str:
    """Return one torch device for ``auto``, ``cpu``, ``cuda`` or ``cuda:n``.

    Raises:
        DeviceError: not one of these, or not available.
    """
    return (*accelerators(wanted), "cpu")[0]


def device_name(device: str) -> str:
    """Return the device's model name."""
    if device == "cpu":
        return "cpu"
    import torch

    return str(torch.cuda.get_device_name(device))


def kind_of(device: str) -> dict[str, str] | None:
    """Return what decides results on an accelerator, and is part of their keys: None of a processor."""
    if device == "cpu":
        return None
    import torch

    major, minor = torch.cuda.get_device_capability(device)
    platform = {"rocm": torch.version.hip} if torch.version.hip else {"cuda": torch.version.cuda}
    return {
        "name": device_name(device),
        "capability": f"{major}.{minor}",
        **{name: str(version) for name, version in platform.items()},
        "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
    }


def conditions_of(devices: tuple[str, ...]) -> dict[str, Any]:
    """Return what a reader needs to know of the accelerators of a session."""
    if not devices:
        return {}
    import torch

    return {
        **(kind_of(devices[0]) or {}),
        "devices": list(devices),
        "driver": _driver(),
        "memory": torch.cuda.get_device_properties(devices[0]).total_memory,
        "tf32": False,
        "autocast": "only where a metric's settings say bfloat16",
        "deterministic": True,
    }


def compute_exactly(device: str) -> None:
    """Have torch compute float32 as float32, and the same each time, from now on in this process.

    TensorFloat-32, which cuDNN uses unless it is told not to, keeps 10 bits of each factor's mantissa: SSIM is lower by
    up to 0.007 with it. Where an operation has no deterministic form on the device, torch warns, and goes on.
    """
    if device == "cpu":
        return
    os.environ.setdefault(WORKSPACE, ":4096:8")
    import torch

    set_precision(WITHOUT_TF32)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)


@contextlib.contextmanager
def exactly(device: str) -> Iterator[None]:
    """Compute exactly (:func:`compute_exactly`) in a process that is not qbench's own, and leave it as it was."""
    if device == "cpu":
        yield
        return
    import torch

    workspace = os.environ.get(WORKSPACE)
    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        with no_rounding_shortcuts():
            compute_exactly(device)
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        if workspace is None:
            os.environ.pop(WORKSPACE, None)


def synchronise(device: str) -> None:
    """Wait until the device has done all work given to it, so that a clock read afterwards is true."""
    if device != "cpu" and "torch" in sys.modules:
        import torch

        torch.cuda.synchronize(device)


def is_usable(device: str) -> bool:
    """Whether a device still answers: after an illegal access, a process gets the same error at whatever it does."""
    try:
        synchronise(device)
    except Exception:
        return False
    return True


def free_bytes(device: str) -> int | None:
    """Return the memory that an accelerator has left, what torch has set aside for this process included."""
    if device == "cpu":
        return None
    import torch

    with contextlib.suppress(Exception):
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    return None


def release_memory(device: str) -> None:
    """Give back what torch has set aside and nothing uses."""
    if device != "cpu":
        import torch

        torch.cuda.empty_cache()


def _driver() -> str:
    with contextlib.suppress(OSError):
        found = re.search(r"\s(\d+\.\d+(?:\.\d+)?)\s", Path("/proc/driver/nvidia/version").read_text())
        return found[1] if found else ""
    return ""


def _may_have_one() -> bool:
    """Whether there is a driver of NVIDIA, or of AMD, whose devices torch calls cuda as well."""
    places = ("/dev/nvidiactl", "/dev/kfd")
    return (
        any(Path(place).exists() for place in places) or ctypes.util.find_library("cuda") is not None or os.name == "nt"
    )
