"""Sharing the processor's cores between workers."""

from __future__ import annotations

import os
import re
import sys

import threadpoolctl


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
