"""``qbench train brisque`` and ``qbench train niqe``: scores without an original, learnt from photographs alone."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageFilter
from pydantic import Field

from qbench.plugin import Parameters, Pixels, QbenchError, Recipe, TrainingStep
from qbench.toolkit.training_data import split_images
from qbench_perceptual.brisque import Regressor
from qbench_perceptual.natural_scenes import Array, brisque_features
from qbench_perceptual.niqe import Niqe, NiqeParameters, patch_features

SMALLEST = 192
LEVELS = 5
"""Strengths of each distortion, from one that is hardly seen to one that nobody would accept."""
SHARP = 0.75
"""Share of a photograph's sharpest patch's sharpness that a patch must have to count (Mittal et al. 2013)."""
MEASURED = 25
"""Held-out photographs on which NIQE is measured."""
RANK_CONSTANT = 60
"""Of reciprocal rank fusion (Cormack, Clarke & Büttcher 2009, SIGIR)."""


def _recoded(pixels: Pixels, form: str, **options: Any) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _noisy(pixels: Pixels, deviation: float) -> Pixels:
    noise = np.random.default_rng(pixels.size).normal(0, deviation, pixels.shape)
    return np.clip(pixels + noise, 0, 255).round().astype(np.uint8)


def _shrunk(pixels: Pixels, factor: float) -> Pixels:
    height, width = pixels.shape[:2]
    small = Image.fromarray(pixels).resize((round(width / factor), round(height / factor)), Image.Resampling.BICUBIC)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


DISTORTIONS: dict[str, Callable[[Pixels, int], Pixels]] = {
    "jpeg": lambda pixels, level: _recoded(pixels, "JPEG", quality=(60, 35, 20, 11, 5)[level]),
    "jpeg2000": lambda pixels, level: _recoded(
        pixels, "JPEG2000", quality_mode="rates", quality_layers=[(12, 24, 48, 96, 192)[level]], irreversible=True
    ),
    "webp": lambda pixels, level: _recoded(pixels, "WEBP", quality=(70, 40, 20, 8, 0)[level]),
    "noise": lambda pixels, level: _noisy(pixels, (3, 7, 14, 26, 48)[level]),
    "blur": lambda pixels, level: np.asarray(
        Image.fromarray(pixels).filter(ImageFilter.GaussianBlur((0.5, 0.9, 1.5, 2.5, 4.5)[level]))
    ),
    "shrinking": lambda pixels, level: _shrunk(pixels, (1.3, 1.7, 2.4, 3.6, 6.0)[level]),
}


def full_reference(original: Pixels, distorted: Pixels) -> list[float]:
    """Return MS-SSIM, VSI, HaarPSI, and GMSD negated, so that all are better when higher."""
    import piq
    import torch

    made, reference = (
        torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() for pixels in (distorted, original)
    )
    with torch.inference_mode():
        found = [
            piq.multi_scale_ssim(made, reference, data_range=255),
            piq.vsi(made, reference, data_range=255),
            piq.haarpsi(made, reference, data_range=255),
            -piq.gmsd(made, reference, data_range=255),
        ]
    return [float(value) for value in found]


def consensus(scores: Array) -> Array:
    """Return one target for each row of scores, 0 (best) to 100: the place in which their ranks together put it.

    Ranks are fused by the sum of reciprocals (Ye, Kumar & Doermann 2014, CVPR, "Beyond human opinion scores"); so the
    target is the share of images, in percent, that are better.

    Args:
        scores: images × metrics, higher is better.
    """
    ranks = scores.shape[0] - scores.argsort(axis=0).argsort(axis=0)
    fused = (1 / (RANK_CONSTANT + ranks)).sum(axis=1)
    worst = (1 / (RANK_CONSTANT + scores.shape[0] + 1 - ranks)).sum(axis=1)
    # Reciprocals tell the best apart and not the worst; from both ends, all are told apart.
    order = (fused - worst).argsort()[::-1].argsort()
    found: Array = 100 * order / max(1, len(order) - 1)
    return found


class BrisqueRecipeParameters(Parameters):
    """Settings of the fit."""

    photographs: int = Field(160, ge=2, description="number of training images to distort")
    penalty: float = Field(64.0, gt=0, description="C of the support vector regressor")
    tolerance: float = Field(4.0, gt=0, description="its ε, in points of 100")
    gamma: float = Field(0.1, gt=0, description="of its radial kernel, on features in [-1, 1]")


class BrisqueRecipe(Recipe):
    """A regressor on BRISQUE's features whose targets are full-reference metrics' and not people's.

    Photographs are distorted in six ways and five strengths; four full-reference metrics rank all, and a support vector
    regressor learns the place in the common ranking. Originals count as the best. Needs scikit-learn.
    """

    name = "brisque"
    summary = "the bundled BRISQUE regressor, without human scores (BLISS)"
    Parameters: ClassVar = BrisqueRecipeParameters

    def train(
        self, data: Path, work: Path, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]
    ) -> Path | None:
        """Fit; ``data`` is of the form that :func:`qbench.training_images` reads. What is measured is kept."""
        try:
            from sklearn.svm import SVR
        except ImportError as error:
            raise QbenchError("scikit-learn is not installed: pip install 'qbench[train]'") from error
        train, held_out = split_images(data, SMALLEST)
        rng = np.random.default_rng(self.context.seed)
        chosen = [train[index] for index in rng.permutation(len(train))[: self.parameters.photographs]]
        work.mkdir(parents=True, exist_ok=True)
        parts = {"train": chosen, "held-out": held_out[: max(1, len(chosen) // 4)]}
        total = sum(len(part) for part in parts.values())
        measured, done = {}, 0
        for part, images in parts.items():
            rows = []
            for index, pixels in enumerate(images):
                if stopping():
                    return None
                rows.append(_measured(work / f"{part}-{self.context.seed}-{index}.npz", pixels))
                done += 1
                report(TrainingStep(done, total, 1, {}))
            measured[part] = rows
        features, scores = (np.concatenate(each) for each in zip(*measured["train"], strict=True))
        low, high = features.min(axis=0), features.max(axis=0)
        high = np.where(high > low, high, low + 1)
        settings = self.parameters
        regressor = SVR(kernel="rbf", C=settings.penalty, epsilon=settings.tolerance, gamma=settings.gamma)
        regressor.fit(2 * (features - low) / (high - low) - 1, consensus(scores))
        made = work / "brisque-bliss.safetensors"
        _write(
            made,
            {
                "coefficients": regressor.dual_coef_[0],
                "vectors": regressor.support_vectors_,
                "intercept": regressor.intercept_,
                "gamma": np.array([settings.gamma]),
                "low": low,
                "high": high,
            },
        )
        results = _agreement(Regressor(made), measured["held-out"])
        results |= {"support vectors": float(len(regressor.support_vectors_))}
        (work / "brisque-bliss.json").write_text(json.dumps({"settings": settings.model_dump(), **results}, indent=1))
        report(TrainingStep(total, total, 1, results, milestone=True))
        return made


def versions(pixels: Pixels) -> list[tuple[int, Pixels]]:
    """Return a photograph at level 0, and every distortion of it at levels 1 to LEVELS, one after the other."""
    made = [(0, pixels)]
    for distort in DISTORTIONS.values():
        made += [(level + 1, distort(pixels, level)) for level in range(LEVELS)]
    return made


def _measured(cache: Path, pixels: Pixels) -> tuple[Array, Array]:
    """Return features and full-reference scores of all versions of a photograph."""
    if cache.is_file():
        with np.load(cache) as kept:
            return kept["features"], kept["scores"]
    made = [each for _, each in versions(pixels)]
    features = np.array([brisque_features(each) for each in made])
    scores = np.array([full_reference(pixels, each) for each in made])
    np.savez(cache, features=features, scores=scores)
    return features, scores


def by_level(values: Sequence[Array]) -> dict[str, float]:
    """Return Spearman's correlation of a score with the level of each distortion, the mean over photographs.

    Args:
        values: for each photograph, the score of all its :func:`versions`.
    """
    from scipy.stats import spearmanr

    results = {}
    for index, name in enumerate(DISTORTIONS):
        at = [0, *range(1 + index * LEVELS, 1 + (index + 1) * LEVELS)]
        found = [float(spearmanr(scored[at], range(LEVELS + 1)).statistic) for scored in values]
        results[f"rank correlation, {name}"] = float(np.mean(found))
    return results


def _agreement(regressor: Regressor, held_out: Sequence[tuple[Array, Array]]) -> dict[str, float]:
    """Return Spearman's correlations on held-out photographs: with levels, and with the metrics' common ranking."""
    from scipy.stats import spearmanr

    values = [np.array([regressor(row) for row in features]) for features, _ in held_out]
    scores = np.concatenate([each for _, each in held_out])
    together = float(spearmanr(np.concatenate(values), consensus(scores)).statistic)
    return by_level(values) | {"rank correlation, all": together}


class NiqeRecipe(Recipe):
    """Mean and covariance of the features of the sharp patches of all photographs (Mittal et al. 2013)."""

    name = "niqe"
    summary = "NIQE's model of natural images: statistics of photographs"

    def train(
        self, data: Path, work: Path, report: Callable[[TrainingStep], None], stopping: Callable[[], bool]
    ) -> Path | None:
        """Fit; ``data`` is of the form that :func:`qbench.training_images` reads."""
        train, held_out = split_images(data, SMALLEST)
        found: list[Array] = []
        for index, pixels in enumerate(train):
            if stopping():
                return None
            features, sharpness = patch_features(pixels)
            found.append(features[sharpness > SHARP * sharpness.max(initial=0.0)])
            report(TrainingStep(index + 1, len(train), 1, {}))
        patches = np.concatenate(found)
        work.mkdir(parents=True, exist_ok=True)
        made = work / "niqe-bsds500.safetensors"
        _write(made, {"mean": patches.mean(axis=0), "covariance": np.cov(patches, rowvar=False)})
        metric = Niqe(NiqeParameters(model=str(made)), self.context)
        chosen = held_out[:: max(1, len(held_out) // MEASURED)]
        values = [np.array([metric.quality(each) for _, each in versions(pixels)]) for pixels in chosen]
        results = {"photographs": float(len(train)), "patches": float(len(patches)), **by_level(values)}
        (work / "niqe-bsds500.json").write_text(json.dumps(results, indent=1))
        report(TrainingStep(len(train), len(train), 1, results, milestone=True))
        return made


def _write(path: Path, tensors: dict[str, Any]) -> None:
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}, path)
