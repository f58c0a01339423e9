"""Provenance: everything a reader needs to judge, and repeat, what a session measured."""

from __future__ import annotations

import os
import platform
import socket
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from qbench.execute.accelerators import conditions_of, device_name
from qbench.execute.commits import commits_of
from qbench.execute.cores import available_cores
from qbench.execute.work import Options
from qbench.planning.types import Plan
from qbench.registry.registry import Registry

LIBRARIES = ("torch", "torchvision", "timm", "open_clip_torch", "numpy", "Pillow", "imagecodecs", "scikit-image", "piq")


def provenance_of(
    plan: Plan, registry: Registry, options: Options, devices: tuple[str, ...], jobs: int, *, in_process: bool
) -> dict[str, Any]:
    """Describe this session: software, machine, settings, originals."""
    used = {user.plugin for user in plan.participants}
    device = (*devices, "cpu")[0]
    return {
        "qbench": version("qbench"),
        "command": sys.argv,
        "plugins": [str(info) for info in registry.plugins if str(info) in used],
        "libraries": {
            **{name: found for name in LIBRARIES if (found := _version(name))},
            **{f"{point.codec}: {name}": text for point in plan.points for name, text in point.libraries.items()},
        },
        "commits": commits_of([*(Path(path).parent for path in plan.plugins), *([Path.cwd()] if plan.plugins else [])]),
        "python": platform.python_version(),
        "system": platform.platform(),
        "host": socket.gethostname(),
        "processor": processor(),
        "cores": available_cores(),
        "device": device,
        "device_name": name_of(device),
        "accelerators": conditions_of(devices),
        "jobs": jobs,
        "in_process": in_process,
        "fail_fast": options.fail_fast,
        "seed": plan.seed,
        "profile": plan.profile,
        "suite": plan.suite,
        "overrides": list(plan.overrides),
        "weights": {name: digest for user in plan.participants for name, digest in user.weights.items()},
        "images": {image.name: {"sha256": image.sha256, "notes": list(image.notes)} for image in plan.images},
        "user_environment": {
            name: os.environ[name] for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES") if name in os.environ
        },
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def name_of(device: str) -> str:
    """Return the name of what computes on a device."""
    return processor() if device == "cpu" else device_name(device)


@cache
def processor() -> str:
    """Return the name of this machine's processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
