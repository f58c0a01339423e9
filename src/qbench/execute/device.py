"""Choosing the device, and sharing the processor's cores between workers."""

from __future__ import annotations

import ctypes.util
import os
import re
import sys
from pathlib import Path

import threadpoolctl

from qbench.errors import DeviceError


def resolve_device(wanted: str) -> str:
    """Return a torch device for ``auto``, ``cpu``, ``cuda`` or ``cuda:n``.

    Raises:
        DeviceError: not one of these, or not available.
    """
    if wanted == "cpu":
        return "cpu"
    if wanted == "auto" and not _has_nvidia_driver():
        return "cpu"  # known without importing torch, which takes seconds
    match = re.fullmatch(r"auto|cuda(?::(\d+))?", wanted)
    if match is None:
        raise DeviceError(f"unknown device `{wanted}`; accepted: auto, cpu, cuda, cuda:0, cuda:1, …")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(match[1] or 0)
    if wanted == "auto" and count == 0:
        return "cpu"
    if index >= count:
        found = f"there are {count}, numbered from 0" if count else f"torch {torch.__version__} finds no CUDA device"
        raise DeviceError(f"device `{wanted}` is not available: {found}")
    return f"cuda:{index}"


def device_name(device: str) -> str:
    """Return the device's model name."""
    if device == "cpu":
        return "cpu"
    import torch

    return str(torch.cuda.get_device_name(device))


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def numerical_threads(share: int) -> int:
    """Return how many threads numerical libraries may use: a share of the cores, or fewer if the user says so."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(wanted)) if re.fullmatch(r"[1-9]\d{0,5}", wanted) else share


def limit_threads(threads: int) -> None:
    """Let the calling thread's numerical work use so many threads.

    OpenMP keeps this number per calling thread, so every thread that computes must call this itself. The
    environment covers libraries that are loaded later.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ[name] = str(threads)
    if "cv2" in sys.modules:
        import cv2

        cv2.setNumThreads(threads)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)


def limit_linear_algebra(threads: int) -> None:
    """Let the linear algebra that is loaded already, NumPy's above all, use so many threads.

    What a process is forked with goes on by what its environment said when it was loaded. Looking for these libraries
    takes milliseconds.
    """
    threadpoolctl.threadpool_limits(threads)


def synchronise(device: str) -> None:
    """Wait until the device has done all work given to it, so that a clock read afterwards is true."""
    if device != "cpu" and "torch" in sys.modules:
        import torch

        torch.cuda.synchronize(device)


def _has_nvidia_driver() -> bool:
    return ctypes.util.find_library("cuda") is not None or Path("/dev/nvidiactl").exists() or os.name == "nt"
