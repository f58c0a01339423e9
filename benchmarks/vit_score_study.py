"""Does the ViT-Score measure quality? The tables of docs/vit-score.md.

Photographs are distorted in four ways at rising strength, and every column of the ViT-Score is compared with the
strength and with MS-SSIM:

    python benchmarks/vit_score_study.py PHOTOGRAPHS [--model NAME ...] [--limit N] > tables.md

PHOTOGRAPHS is a folder of images that the classifier was not trained on, none of them smaller than 161 pixels. The
document was made with the 100 validation images of BSDS500 (Arbelaez et al. 2011). Models are named as in suites:
the bundled one unless told otherwise; a published one must have been fetched with `qbench models pull`.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageFilter
from scipy.stats import spearmanr

from qbench.plugin import Candidates, Context, Image, Pixels, Reference, find_weights
from qbench.registry.registry import default_registry
from qbench_vit import agreement
from qbench_vit.score import View, VitScore, VitScoreParameters

Array = npt.NDArray[np.float64]
COLUMNS = {column.name: column.direction.value for column in VitScore.columns}
SEEDS = 5


def jpeg(pixels: Pixels, quality: float) -> Pixels:
    """Code as JPEG and decode."""
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "JPEG", quality=int(quality))
    return np.asarray(PillowImage.open(buffer))


def blur(pixels: Pixels, sigma: float) -> Pixels:
    """Blur with a Gaussian."""
    return np.asarray(PillowImage.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))


def noise(pixels: Pixels, sigma: float, seed: int = 0) -> Pixels:
    """Add white Gaussian noise."""
    added = pixels + np.random.default_rng(seed).normal(0, sigma, pixels.shape)
    return np.clip(added.round(), 0, 255).astype(np.uint8)


def resolution(pixels: Pixels, factor: float) -> Pixels:
    """Shrink by a factor, and enlarge again."""
    whole = PillowImage.fromarray(pixels)
    small = whole.resize(
        (max(1, round(whole.width / factor)), max(1, round(whole.height / factor))), PillowImage.BICUBIC
    )
    return np.asarray(small.resize(whole.size, PillowImage.BICUBIC))


# From mild to strong.
DISTORTIONS: dict[str, tuple[Callable[..., Pixels], tuple[float, ...]]] = {
    "JPEG quality": (jpeg, (90, 70, 50, 30, 20, 10, 5, 1)),
    "blur σ": (blur, (0.5, 1, 1.5, 2, 3, 4, 6, 8)),
    "noise σ": (noise, (2, 5, 10, 15, 20, 30, 40, 60)),
    "resolution ÷": (resolution, (1.25, 1.5, 2, 3, 4, 6, 8, 12)),
}


class Study:
    """Everything measured with one model."""

    def __init__(self, model: str | None, photographs: Sequence[Pixels]) -> None:
        self.photographs = photographs
        self.metric = VitScore(VitScoreParameters(model=model), Context())
        self.coarse = VitScore(VitScoreParameters(model=model, precision="bfloat16"), Context())
        (weights,) = VitScore.weights(VitScoreParameters(model=model), "bundled")
        find_weights(weights)
        self.name = weights.name
        self.labels = len(self.metric.classifier.labels)
        self.references = [Reference(str(index), Image(pixels)) for index, pixels in enumerate(photographs)]
        self.originals = [self.metric.prepare(reference) for reference in self.references]
        self.logits: dict[str, Array] = {}  # distortion → images × levels × labels
        self.scores: dict[str, dict[str, Array]] = {}  # distortion → column → images × levels
        self.structure: dict[str, Array] = {}  # distortion → images × levels

    def measure(self) -> None:
        """Score everything."""
        fidelity = default_registry().metrics["ms-ssim"]
        structural = fidelity(fidelity.Parameters(), Context())
        for name, (distort, levels) in DISTORTIONS.items():
            values: dict[str, list[list[float]]] = {column: [] for column in COLUMNS}
            logits, structure = [], []
            for reference, original in zip(self.references, self.originals, strict=True):
                candidates = Candidates(
                    reference, [Image(distort(reference.pixels, level)) for level in levels], [1] * len(levels)
                )
                views = self.metric.views(candidates, original)
                results = [self.metric.scores(original, view) for view in views]
                for column in COLUMNS:
                    values[column].append([result[column] for result in results])
                logits.append([view.logits for view in views])
                prepared = structural.prepare(reference)
                structure.append([result["ms-ssim"] for result in structural.score(candidates, prepared)])
            self.scores[name] = {column: np.array(found) for column, found in values.items()}
            self.logits[name] = np.array(logits)
            self.structure[name] = np.array(structure)
            print(f"{self.name}: {name} done", file=sys.stderr)

    # -- tables ---------------------------------------------------------------------------------------------------

    def correlations(self) -> list[list[str]]:
        """Per distortion and column: how well it orders strengths, agrees with MS-SSIM, and never turns back."""
        rows = []
        for name in DISTORTIONS:
            for column, direction in COLUMNS.items():
                good = self.scores[name][column] * (1 if direction == "higher" else -1)
                strength = -np.arange(good.shape[1])
                each = [rank(values, strength) for values in good]
                pooled = rank(good.ravel(), self.structure[name].ravel())
                steps = np.diff(good, axis=1)
                rows.append(
                    [
                        name,
                        column,
                        f"{np.mean(each):.3f}",
                        f"{pooled:.3f}",
                        f"{100 * (steps <= 1e-12).mean():.0f} %",
                        f"{100 * (steps <= 1e-12).all(axis=1).mean():.0f} %",
                    ]
                )
        return rows

    def levels(self) -> list[list[str]]:
        """Mean of the score, and of MS-SSIM, at every level."""
        rows = []
        for name, (_, levels) in DISTORTIONS.items():
            for title, values in (
                ("vit-score", self.scores[name]["vit-score"]),
                ("weighted", self.scores[name]["weighted"]),
                ("MS-SSIM", self.structure[name]),
            ):
                rows.append([f"{name} {', '.join(f'{level:g}' for level in levels)}", title])
                rows[-1] += [f"{value:.3f}" for value in values.mean(axis=0)]
        return rows

    def influence_of_k(self) -> list[list[str]]:
        """The score with other K."""
        rows = []
        for share in (0.005, 0.025, 0.05, 0.1, 0.25, 0.5):
            k = max(1, round(share * self.labels))
            means, each, whole = [], [], []
            for logits in self.logits.values():
                values = np.array(
                    [
                        [share_of(original, found, k) for found in levels]
                        for original, levels in zip(self.originals, logits, strict=True)
                    ]
                )
                strength = -np.arange(values.shape[1])
                means.append(values.mean())
                each.append(np.mean([rank(row, strength) for row in values]))
                whole.append((values == 1).mean())
            rows.append(
                [
                    f"{k} of {self.labels}",
                    f"{np.mean(means):.3f}",
                    f"{np.mean(each):.3f}",
                    f"{100 * np.mean(whole):.0f} %",
                ]
            )
        return rows

    def spread(self) -> list[list[str]]:
        """How much the score varies where quality does not: other noise of one strength, other crops of one image."""
        rows = []
        for sigma in (5, 15, 40):
            found = []
            for reference, original in zip(self.references, self.originals, strict=True):
                images = [noise(reference.pixels, sigma, seed) for seed in range(SEEDS)]
                found.append(self._scores(reference, original, images))
            rows.append(self._spread_row(f"noise σ {sigma}, {SEEDS} seeds", found))
        for quality in (50, 10):
            found = []
            for reference in self.references:
                scores = []
                for crop in crops(reference.pixels):
                    part = Reference("crop", Image(crop))
                    scores += self._scores(part, self.metric.prepare(part), [jpeg(crop, quality)])
                found.append(scores)
            rows.append(self._spread_row(f"JPEG quality {quality}, 5 crops of 80 % width and height", found))
        return rows

    def _scores(self, reference: Reference, original: View, images: list[Pixels]) -> list[tuple[float, float]]:
        results = self.metric.score(
            Candidates(reference, [Image(each) for each in images], [1] * len(images)), original
        )
        return [(result["vit-score"], result["weighted"]) for result in results]

    @staticmethod
    def _spread_row(title: str, found: list[list[tuple[float, float]]]) -> list[str]:
        values = np.array(found)  # images × repeats × (score, weighted)
        within, between = values.std(axis=1, ddof=1).mean(axis=0), values.mean(axis=1).std(axis=0, ddof=1)
        return [title, *(f"{within[index]:.3f} / {between[index]:.3f}" for index in range(2))]

    def precision(self) -> list[list[str]]:
        """What bfloat16 changes."""
        rows = []
        for name, (distort, levels) in DISTORTIONS.items():
            differences = []
            for index in range(0, len(self.references), 4):
                reference = self.references[index]
                images = [distort(reference.pixels, level) for level in levels]
                candidates = Candidates(reference, [Image(each) for each in images], [1] * len(images))
                coarse = self.coarse.score(candidates, self.coarse.prepare(reference))
                for column in ("vit-score", "weighted"):
                    exact = self.scores[name][column][index]
                    differences += [(column, abs(a - b[column])) for a, b in zip(exact, coarse, strict=True)]
            for column in ("vit-score", "weighted"):
                found = np.array([difference for where, difference in differences if where == column])
                rows.append(
                    [name, column, f"{100 * (found > 1e-9).mean():.0f} %", f"{found.mean():.4f}", f"{found.max():.3f}"]
                )
        return rows


def rank(values: Array, other: Array) -> float:
    """Spearman's rank correlation; 0 where one side never changes."""
    if np.ptp(values) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(values, other).statistic)


def share_of(original: View, logits: Array, k: int) -> float:
    """The ViT-Score with another K."""
    return agreement.shared_share(agreement.top_labels(original.logits, k), agreement.top_labels(logits, k))


def crops(pixels: Pixels) -> list[Pixels]:
    """The four corners and the centre, 80 % of width and height each."""
    height, width = pixels.shape[:2]
    rows, columns = int(0.8 * height), int(0.8 * width)
    places = [(0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)]
    made = []
    for down, right in places:
        top, left = int(down * (height - rows)), int(right * (width - columns))
        made.append(np.ascontiguousarray(pixels[top : top + rows, left : left + columns]))
    return made


def worst(study: Study) -> list[list[str]]:
    """Where the score goes up most although the image gets worse."""
    rows = []
    for name, (_, levels) in DISTORTIONS.items():
        values = study.scores[name]["vit-score"]
        for index in np.argsort(-np.diff(values, axis=1).max(axis=1), kind="stable")[:1]:
            step = int(np.diff(values[index]).argmax())
            mild, strong = list(pairwise(levels))[step]
            rows.append([name, f"{mild:g} → {strong:g}", f"{values[index, step]:.2f} → {values[index, step + 1]:.2f}"])
    return rows


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    print(f"\n{title}\n")
    print("| " + " | ".join(header) + " |")
    print("|" + "|".join([" --- "] + [" ---: "] * (len(header) - 1)) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--model", action="append", help="repeatable; the bundled one by default")
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.photographs.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    photographs = [np.asarray(PillowImage.open(path).convert("RGB")) for path in paths[: arguments.limit]]
    if not photographs:
        parser.error(f"{arguments.photographs}: no .jpg or .png in there")
    for model in arguments.model or [None]:
        study = Study(model, photographs)
        study.measure()
        print(f"\n## {study.name}, {len(photographs)} photographs")
        table(
            "Does it order strengths of distortion? ρ is Spearman's rank correlation: with strength per image, then "
            "averaged; with MS-SSIM over all images and levels. Then the share of steps to a stronger distortion at "
            "which the column gets no better, and of images for which that holds at every step.",
            ["distortion", "column", "ρ with strength", "ρ with MS-SSIM", "steps", "images"],
            study.correlations(),
        )
        count = len(next(iter(DISTORTIONS.values()))[1])
        table(
            "Means from mild to strong.",
            ["distortion and its levels", "column", *(str(n + 1) for n in range(count))],
            study.levels(),
        )
        table(
            "Other K, over all distortions.",
            ["K", "mean score", "ρ with strength", "cells at exactly 1"],
            study.influence_of_k(),
        )
        table(
            "Standard deviation within an image, where quality is the same / between images.",
            ["what varies", "vit-score", "weighted"],
            study.spread(),
        )
        table(
            "bfloat16 against float32, every fourth photograph: scores that change, mean and largest change.",
            ["distortion", "column", "changed", "mean", "largest"],
            study.precision(),
        )
        table(
            "The largest rise of a score while the distortion grows, per distortion.",
            ["distortion", "level", "vit-score"],
            worst(study),
        )


if __name__ == "__main__":
    main()
