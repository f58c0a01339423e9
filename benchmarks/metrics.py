"""Every metric against every other package that has it: what it takes, and what it says.

    python benchmarks/metrics.py [--image PHOTOGRAPH] [--size 768x512] [--threads 1] [--rounds 15] [METRIC …]

A picture is scored five times, as JPEGs of quality 5, 20, 40, 70 and 95; what depends on the original alone is computed
once where a package can (ours). All are called in turn, round after round, in one process, and a time is the median
over the rounds, for one reconstruction, in units of u: one ``GaussianBlur`` (11 taps, σ 1.5) of a 768×512×3 float32
picture by OpenCV on one thread, which is taken in the same rounds. Differences are the largest over the five; what
explains them stands in the last column. Packages that are not installed are left out, by name. (blazediff-ssim is not
among them: it is given files, and decodes them.)
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from skimage.data import astronaut

from qbench.execute.cores import limit_threads
from qbench.plugin import Candidates, Context, Image, Pixels, Reference
from qbench.registry.registry import default_registry

QUALITIES = (5, 20, 40, 70, 95)
Peer = Callable[[Pixels, Pixels], float]
TORCH = {
    "psnr": ("piq.psnr", "torchmetrics.peak_signal_noise_ratio", "frame_analytics.psnr"),
    "ssim": (
        "piq.ssim",
        "torchmetrics.structural_similarity_index_measure",
        "pytorch_msssim.ssim",
        "frame_analytics.ssim",
    ),
    "ms-ssim": (
        "piq.multi_scale_ssim",
        "torchmetrics.multiscale_structural_similarity_index_measure",
        "pytorch_msssim.ms_ssim",
        "frame_analytics.ms_ssim",
    ),
    "vifp": ("piq.vif_p", "torchmetrics.visual_information_fidelity", "frame_analytics.vifp"),
    "iw-ssim": ("piq.information_weighted_ssim", "frame_analytics.iw_ssim"),
    "fsim": ("piq.fsim", "frame_analytics.fsimc"),
    "gmsd": ("piq.gmsd", "frame_analytics.gmsd"),
    "vsi": ("piq.vsi", "frame_analytics.vsi"),
    "haarpsi": ("piq.haarpsi", "frame_analytics.haarpsi"),
    "mdsi": ("piq.mdsi", "frame_analytics.mdsi"),
    "ciede2000": ("frame_analytics.ciede2000",),
    "brisque": ("piq.brisque",),
}
"""Metric → functions of torch tensors that compute it."""
KNOWN = (*TORCH, "mse", "psnr-y", "ssim-y", "ms-ssim-y", "ssim-uniform", "niqe", "pixel-frechet", "png-size-ratio")
WHY = {
    ("ssim", "torchmetrics"): "counts windows that reach past the border",
    ("ms-ssim", "torchmetrics"): "counts windows that reach past the border, and averages channels at each scale",
    ("ms-ssim", "pytorch_msssim"): "zeros beyond odd sides",
    ("fsim", "piq"): "rounds half of its factor to even, other digits in YIQ, the median's lower neighbour",
    ("haarpsi", "piq"): "other digits in YIQ",
    ("gmsd", "frame_analytics"): "of each channel, not of luma",
    ("iw-ssim", "frame_analytics"): "of each channel, not of luma",
    ("vifp", "frame_analytics"): "of each channel, not of luma",
    ("vsi", "frame_analytics"): "cuts saliency's frequencies off at a quarter, not at a half; no antialiasing",
    ("ciede2000", "frame_analytics"): "float32",
    ("vsi", "piq"): "shrinks one pixel out of phase with the authors' program; no antialiasing",
    ("vifp", "torchmetrics"): "of each channel, not of luma",
    ("brisque", "piq"): "another regressor",
}


def main() -> None:
    """Time, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("metrics", nargs="*", metavar="METRIC", help=f"of {', '.join(KNOWN)}; all by default")
    parser.add_argument("--image", type=Path, help="a photograph; scikit-image's astronaut by default")
    parser.add_argument("--size", type=_size, default=(768, 512), help="that it is scaled to: 768x512")
    parser.add_argument("--threads", type=_positive, default=1)
    parser.add_argument("--rounds", type=_positive, default=15)
    options = parser.parse_args()
    unknown = [name for name in options.metrics if name not in KNOWN]
    if unknown:
        parser.error(f"no metric that is measured here: {', '.join(unknown)}; there are {', '.join(KNOWN)}")
    import cv2
    import torch

    limit_threads(options.threads)
    cv2.setNumThreads(options.threads)
    torch.set_num_threads(options.threads)
    width, height = options.size
    picture = PillowImage.fromarray(astronaut()) if options.image is None else PillowImage.open(options.image)
    original = np.asarray(picture.convert("RGB").resize((width, height), PillowImage.Resampling.LANCZOS))
    made = [_jpeg(original, quality) for quality in QUALITIES]

    metrics = default_registry().metrics
    own = [name for name in metrics if metrics.offer(name).plugin.name in ("fidelity", "perceptual")]
    jobs: dict[tuple[str, str], Callable[[], list[float]]] = {}
    for name in options.metrics or [name for name in own if name in KNOWN]:
        jobs[name, "qbench"] = _ours(name, original, made)
        for package, peer in _peers(name).items():
            jobs[name, package] = _each(peer, original, made)
    times, values, unit = _timed(jobs, options.rounds)
    print(f"u = {1000 * unit:.2f} ms; {width}×{height}, {options.threads} thread(s), {_machine()}\n")
    print("| metric | package | u | against qbench | largest difference | because |\n|---|---|---|---|---|---|")
    for (name, package), seconds in times.items():
        if (name, "qbench") not in times:
            continue  # it said why it is not applicable
        ratio = seconds / times[name, "qbench"]
        differences = [abs(a - b) for a, b in zip(values[name, package], values[name, "qbench"], strict=True)]
        said = ("", "") if package == "qbench" else (f"{max(differences):.2g}", WHY.get((name, package), ""))
        print(f"| {name} | {package} | {seconds / unit:.2f} | {ratio:.1f}× | {said[0]} | {said[1]} |")


def _positive(text: str) -> int:
    """Read a number from 1."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _size(text: str) -> tuple[int, int]:
    """Read a width and a height."""
    width, _, height = text.partition("x")
    return _positive(width), _positive(height)


def _jpeg(pixels: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(PillowImage.open(buffer).convert("RGB"))


def _ours(name: str, original: Pixels, made: Sequence[Pixels]) -> Callable[[], list[float]]:
    cls = default_registry().metrics[name]
    metric: Any = cls(cls.Parameters(), Context())
    images = [Image(pixels) for pixels in made]

    def call() -> list[float]:
        reference = Reference("image", Image(original))  # nothing is left of an earlier round
        candidates = Candidates(reference, images, [1] * len(images))
        return [scores[name] for scores in metric.score(candidates, metric.prepare(reference))]

    return call


def _each(peer: Peer, original: Pixels, made: Sequence[Pixels]) -> Callable[[], list[float]]:
    return lambda: [peer(original, pixels) for pixels in made]


def _peers(name: str) -> dict[str, Peer]:
    """Return the installed packages that have a metric."""
    found: dict[str, Peer] = {}
    for path in TORCH.get(name, ()):
        package, _, function = path.partition(".")
        try:
            found[package] = _by_torch(package, function)
        except ImportError:
            print(f"{package} is not installed, and left out")
    if name == "ciede2000":
        from skimage.color import deltaE_ciede2000, rgb2lab

        found["scikit-image"] = lambda x, y: float(deltaE_ciede2000(rgb2lab(x), rgb2lab(y)).mean())
    if name in ("ssim", "psnr", "ssim-uniform"):
        from skimage import metrics

        options = {"data_range": 255}
        if name != "psnr":
            options["channel_axis"] = 2
        if name == "ssim":
            options |= {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        function = metrics.peak_signal_noise_ratio if name == "psnr" else metrics.structural_similarity
        found["scikit-image"] = lambda x, y: float(function(x, y, **options))
    if name == "ssim-uniform":
        try:
            import fast_ssim
        except ImportError:
            print("fast_ssim is not installed, and left out")
        else:
            found["fast_ssim"] = lambda x, y: float(fast_ssim.ssim(x, y))
    return found


def _by_torch(package: str, function: str) -> Peer:
    from importlib import import_module

    import torch

    module = import_module("torchmetrics.functional.image" if package == "torchmetrics" else package)
    call = getattr(module, function)
    extra: dict[str, Any] = (
        {} if package == "frame_analytics" or function == "visual_information_fidelity" else {"data_range": 255.0}
    )
    if (package, function) == ("piq", "ssim"):
        extra["downsample"] = False
    alone = function == "brisque"

    def peer(x: Pixels, y: Pixels) -> float:
        pair = [torch.from_numpy(each.copy()).permute(2, 0, 1)[None] for each in (y, x)]
        if package != "frame_analytics":  # which takes uint8
            pair = [each.float() for each in pair]
        with torch.inference_mode():
            return float(call(*(pair[:1] if alone else pair), **extra))

    return peer


def _timed(
    jobs: dict[tuple[str, str], Callable[[], list[float]]], rounds: int
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], list[float]], float]:
    """Return seconds per reconstruction, values, and the seconds of one unit."""
    values, kept = {}, dict(jobs)
    for key, job in jobs.items():
        try:
            values[key] = job()
        except Exception as error:
            print(f"{' by '.join(key)} failed and is left out: {type(error).__name__}: {error}"[:300])
            del kept[key]
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in kept}
    units = []
    for _ in range(rounds):
        units.append(_unit())
        for key, job in kept.items():
            began = time.perf_counter()
            job()
            seconds[key].append((time.perf_counter() - began) / len(QUALITIES))
    return {key: statistics.median(each) for key, each in seconds.items()}, values, statistics.median(units)


def _unit() -> float:
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    picture = np.random.default_rng(0).random((512, 768, 3), np.float32) * 255
    cv2.GaussianBlur(picture, (11, 11), 1.5)
    began = time.perf_counter()
    cv2.GaussianBlur(picture, (11, 11), 1.5)
    spent = time.perf_counter() - began
    cv2.setNumThreads(before)
    return spent


def _machine() -> str:
    packages = [
        "opencv-python-headless",
        "torch",
        "piq",
        "torchmetrics",
        "pytorch-msssim",
        "scikit-image",
        "frame-analytics",
    ]
    known = []
    for name in packages:
        try:
            known.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, " + ", ".join(known)


if __name__ == "__main__":
    main()
