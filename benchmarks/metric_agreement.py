"""How far metrics are from other people's implementations, on photographs.

    pip install -e '.[test]'
    python benchmarks/metric_agreement.py

Six pairs: scikit-image's photographs after JPEG at three qualities, noise, darkening, and an odd crop. Printed is the
largest absolute difference, and why there is one. Networks are not compared here, as their weights must be fetched; the
tests do so with random ones.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable

import numpy as np
import piq
import piqa
import pytorch_msssim
import skimage.color
import skimage.metrics
import torch
import torchmetrics.functional.image as torchmetrics
from PIL import Image as PillowImage
from scipy import linalg
from skimage.data import astronaut, chelsea, coffee, rocket
from torch_fidelity.metric_kid import kernel_poly, mmd2
from torchmetrics.image.fid import _compute_fid

from qbench.plugin import Candidates, Context, Image, Pixels, Reference
from qbench.registry.registry import default_registry
from qbench_perceptual.gaussians import frechet_distance, kernel_distance
from qbench_perceptual.natural_scenes import brisque_features, luma

LUMA = np.array([0.299, 0.587, 0.114])


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Code and decode."""
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(PillowImage.open(buffer).convert("RGB"))


def pairs() -> list[tuple[Pixels, Pixels]]:
    """Return originals and what became of them; sides are even, and shorter ones 256 to 512."""
    noise = np.random.default_rng(0).normal(0, 15, (300, 450, 3))
    cat, odd = chelsea()[:, :450].copy(), coffee()[3:331, 7:407].copy()
    return [
        (astronaut(), jpeg(astronaut(), 10)),
        (astronaut(), jpeg(astronaut(), 40)),
        (coffee(), jpeg(coffee(), 80)),
        (cat, np.clip(cat + noise, 0, 255).round().astype(np.uint8)),
        (rocket()[:426], (rocket()[:426] * 0.8).astype(np.uint8)),
        (odd, jpeg(odd, 25)),
    ]


def tensor(image: np.ndarray, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Return 1×C×H×W."""
    shaped = image if image.ndim == 3 else image[..., None]
    return torch.from_numpy(np.ascontiguousarray(shaped)).permute(2, 0, 1)[None].to(dtype)


def shares(image: Pixels) -> torch.Tensor:
    """Return 1×3×H×W in [0, 1], float32."""
    return tensor(image, torch.float32) / 255


def skimage_ssim(x: np.ndarray, y: np.ndarray, **options: object) -> float:
    """SSIM as Wang et al. 2004 define it, by scikit-image."""
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(skimage.metrics.structural_similarity(x, y, data_range=255, **gaussian, **options))


REFERENCES: list[tuple[str, str, Callable[[Pixels, Pixels], float], str]] = [
    ("mse", "scikit-image", lambda x, y: skimage.metrics.mean_squared_error(x, y), ""),
    ("psnr", "scikit-image", lambda x, y: skimage.metrics.peak_signal_noise_ratio(x, y), ""),
    (
        "psnr-y",
        "scikit-image",
        lambda x, y: skimage.metrics.peak_signal_noise_ratio(x @ LUMA, y @ LUMA, data_range=255),
        "",
    ),
    ("ssim", "scikit-image", lambda x, y: skimage_ssim(x, y, channel_axis=2), "float32"),
    ("ssim", "piq", lambda x, y: float(piq.ssim(tensor(y), tensor(x), data_range=255.0, downsample=False)), "float32"),
    ("ssim-y", "scikit-image", lambda x, y: skimage_ssim(x @ LUMA, y @ LUMA), "float32"),
    (
        "ms-ssim",
        "pytorch-msssim",
        lambda x, y: float(pytorch_msssim.ms_ssim(tensor(y), tensor(x), data_range=255)),
        "float32",
    ),
    (
        "vif",
        "torchmetrics",
        lambda x, y: float(torchmetrics.visual_information_fidelity(tensor(y @ LUMA), tensor(x @ LUMA))),
        "constants against division by 0",
    ),
    ("gmsd", "piqa", lambda x, y: float(piqa.GMSD()(shares(y), shares(x))), "weights of luma"),
    (
        "fsim",
        "piqa",
        lambda x, y: float(piqa.FSIM()(shares(y), shares(x))),
        "images of 400 pixels are halved, as the paper rounds 400/256; piqa cuts it off",
    ),
    ("haarpsi", "piqa", lambda x, y: float(piqa.HaarPSI()(shares(y), shares(x))), "borders"),
    (
        "ciede2000",
        "scikit-image",
        lambda x, y: float(np.mean(skimage.color.deltaE_ciede2000(skimage.color.rgb2lab(x), skimage.color.rgb2lab(y)))),
        "",
    ),
]


def main() -> None:
    """Compare, and print a table."""
    print("| metric | against | largest difference | of values | why |\n|---|---|---|---|---|")
    metrics = default_registry().metrics
    for name, whose, reference, why in REFERENCES:
        ours, theirs = [], []
        for x, y in pairs():
            metric = metrics[name](metrics[name].Parameters(), Context())
            original = Reference("a", Image(x))
            candidates = Candidates(original, [Image(y)], [1])
            ours.append(metric.score(candidates, metric.prepare(original))[0][name])
            theirs.append(reference(x, y))
        row(name, whose, np.array(ours), np.array(theirs), why)
    statistics()


def row(name: str, whose: str, ours: np.ndarray, theirs: np.ndarray, why: str) -> None:
    """Print one row."""
    print(f"| {name} | {whose} | {np.abs(ours - theirs).max():.1e} | {ours.min():.4g} to {ours.max():.4g} | {why} |")


def statistics() -> None:
    """Compare what is no metric of one pair: features, and distances between sets."""
    module = importlib.import_module("piq.brisque")
    ours, theirs = [], []
    for _, y in pairs():
        image = torch.from_numpy(luma(y))[None, None]
        theirs.append(module._natural_scene_statistics(image, 7, 7 / 6)[0].numpy())
        ours.append(brisque_features(y)[:18])
    row("brisque, features", "piq", np.array(ours), np.array(theirs), "rounding errors' signs in flat parts")
    one, other = (np.random.default_rng(seed).normal(seed, 1 + seed, (300, 64)) for seed in (0, 1))
    parts = [part for each in (one, other) for part in (each.mean(0), np.cov(each, rowvar=False))]
    found = np.array([frechet_distance(one, other)])
    row("fid, of vectors", "torchmetrics", found, np.array([float(_compute_fid(*map(torch.from_numpy, parts)))]), "")
    root = linalg.sqrtm(parts[1] @ parts[3]).real
    direct = np.sum((parts[0] - parts[2]) ** 2) + np.trace(parts[1] + parts[3] - 2 * root)
    row("fid, of vectors", "scipy's square root of matrices", found, np.array([direct]), "")
    kernels = [
        kernel_poly(x, y, kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1)
        for x, y in ((one, one), (one, other), (other, other))
    ]
    row("kid, of vectors", "torch-fidelity", np.array([kernel_distance(one, other)]), np.array([mmd2(*kernels)]), "")


if __name__ == "__main__":
    main()
