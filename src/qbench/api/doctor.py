"""What is here: versions, devices, programs, space; for people, and for reports of bugs."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from qbench.errors import QbenchError
from qbench.execute.accelerators import accelerators, device_name
from qbench.execute.cores import available_cores
from qbench.execute.limits import free_memory
from qbench.execute.provenance import LIBRARIES, processor
from qbench.home import cache_home, home
from qbench.registry.registry import Registry, default_registry
from qbench.store.cache import Cache

EXTRAS = dict(
    line.split(": ", 1)
    for line in """\
pandas: run.to_pandas()
parquet: qbench show --format parquet
heif: HEIC, as a codec and as originals
jpegli: a codec for JPEG by jpegli
hvs: PSNR-HVS and PSNR-HVS-M
compressai: CompressAI's models as codecs, in an environment of its own
cluster: qbench run --cluster
train: qbench train brisque
test: qbench's own tests""".splitlines()
)
"""What optional packages of ours bring."""
PROGRAMS = {
    "git": "the commit of plugin files in a run's provenance",
    "butteraugli_main": "the metric Butteraugli (libjxl's tools)",
    "cjxl": "suites/programs/jpeg-xl.yaml",
    "cwebp": "suites/programs/webp.yaml",
    "avifenc": "suites/programs/avif.yaml",
    "ffmpeg": "suites/programs/x265.yaml",
    "sbatch": "qbench run --cluster slurm:N",
}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "QBENCH_HOME")


def examine(registry: Registry | None = None) -> dict[str, dict[str, Any]]:
    """Return what is here, section by section, as plain values for JSON."""
    return {
        "software": {
            "qbench": version("qbench"),
            "python": f"{platform.python_version()} ({sys.executable})",
            "system": platform.platform(),
            **{name: _version(name) or "not installed" for name in LIBRARIES},
        },
        "machine": {
            "processor": processor(),
            "cores": available_cores(),
            "free memory": "unknown" if (free := free_memory()) is None else f"{free / 1e9:.1f} GB",
            **_devices(),
            **{name: os.environ[name] for name in THREADS if name in os.environ},
        },
        "space": _space(),
        "plugins": _plugins(registry),
        "extras": {name: _extra(name, brings) for name, brings in EXTRAS.items()},
        "programs": {name: shutil.which(name) or f"not found; it brings {brings}" for name, brings in PROGRAMS.items()},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _devices() -> dict[str, str]:
    try:
        found = accelerators("auto")
    except QbenchError as error:
        return {"accelerators": str(error)}
    if not found:
        return {"accelerators": "none: networks compute on the processor"}
    return {device: device_name(device) for device in found}


def _space() -> dict[str, str]:
    try:
        place = home()
        cache = Cache(cache_home())
        cells, scores, size = cache.size()
        cached = cache.trouble or f"{cells} cells, {scores} scores, {size / 1e6:.1f} MB"
    except QbenchError as error:
        return {"home": str(error)}
    here = Path.cwd()
    return {"here": f"{_free(here)} free in {here}", "home": f"{_free(place)} free in {place}", "cache": cached}


def _free(path: Path) -> str:
    there = next((each for each in (path, *path.parents) if each.exists()), Path("/"))
    try:
        return f"{shutil.disk_usage(there).free / 1e9:.1f} GB"
    except OSError as error:
        return f"unknown ({error.strerror})"


def _plugins(registry: Registry | None) -> dict[str, str]:
    try:
        known = registry or default_registry()
    except QbenchError as error:
        return {"": str(error)}
    return {str(info): "ok" if info.ok else f"broken: {info.problem}" for info in known.plugins}


def _extra(name: str, brings: str) -> str:
    """Say whether the packages of an extra are there."""
    needed = []
    for line in requires("qbench") or []:
        requirement, _, marker = line.partition(";")
        if re.search(rf"extra\s*==\s*['\"]{re.escape(name)}['\"]", marker):
            needed.append(re.split(r"[\s<>=!~\[(]", requirement.strip())[0])
    lacking = [package for package in needed if package.lower() != "qbench" and not _version(package)]
    if not lacking:
        return f"there: {brings}"
    return f"not there (pip install 'qbench[{name}]'); it brings {brings}"
