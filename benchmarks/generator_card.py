"""The figures and the image of docs/models/gan-photo-64.md.

    python benchmarks/generator_card.py GENERATOR WORK [--count 5000] [--image samples.png]

GENERATOR is a name or a file as in suites; WORK the folder that ``qbench train gan`` worked in, with the squares that
it trained on and held out.

The Fréchet distance is that of Heusel et al. 2017 (FID), but on the features of the bundled vision transformer: its
values can't be compared with those of an Inception network, only with one another.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from skimage import data

from qbench.plugin import Context, Generator, Image, Pixels
from qbench_gan.generators import chosen
from qbench_vit.classifier import Classifier, load_classifier
from qbench_vit.models import BUNDLED

COLUMNS = 12


def drawn(generator: Generator, latents: torch.Tensor) -> Pixels:
    """Return images, N×H×W×3, of latents."""
    network = generator.network("cpu")
    with torch.inference_mode():
        values = torch.cat([network(part) for part in latents.split(100)])
    shares = (values - generator.low) / (generator.high - generator.low)
    return (255 * shares).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()


def encoded(generator: Generator, images: Pixels) -> torch.Tensor:
    """Return the encoder's latents of images, N×H×W×3."""
    encoder = generator.encoder("cpu")
    assert encoder is not None, f"{generator.name} has no encoder"
    shares = torch.from_numpy(images.copy()).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        inputs = generator.low + (generator.high - generator.low) * shares
        return torch.cat([encoder(part) for part in inputs.split(100)])


def samples(generator: Generator) -> Pixels:
    """Return squares out of scikit-image's sample images, N×H×W×3: each whole, and two parts of it."""
    squares = []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        image = PillowImage.fromarray(getattr(data, name)())
        side = min(image.size)
        for left, top, part in ((0.5, 0.5, 1), (0.5, 0.1, 2), (0.4, 0.9, 4)):
            length = side // part
            corner = (left * (image.width - length), top * (image.height - length))
            box = (*corner, corner[0] + length, corner[1] + length)
            squares.append(image.resize((generator.width, generator.height), PillowImage.LANCZOS, box=box))
    return np.stack([np.asarray(square) for square in squares])


def psnr(one: Pixels, other: Pixels) -> float:
    """Mean over images, in dB."""
    errors = np.mean((one.astype(float) - other) ** 2, axis=(1, 2, 3))
    return float(np.mean(10 * np.log10(255**2 / np.maximum(errors, 1e-3))))


def frechet(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Return the Fréchet distance of Gaussians fitted to features, N×d each."""
    means, covariances = zip(*((part.mean(axis=0), np.cov(part, rowvar=False)) for part in (one, other)), strict=True)
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariances[1] @ root), 0)).sum()
    trace = np.trace(covariances[0]) + np.trace(covariances[1])
    return float(np.sum((means[0] - means[1]) ** 2) + trace - 2 * cross)


def features(classifier: Classifier, images: Pixels) -> npt.NDArray[np.float64]:
    """Return the classifier's features, N×d."""
    return np.concatenate(
        [classifier.look([Image(pixels) for pixels in part]).features for part in np.array_split(images, 50)]
    ).astype(float)


def main() -> None:
    """Measure, draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generator")
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--image", type=Path, default=Path("samples.png"))
    arguments = parser.parse_args()
    generator = chosen(arguments.generator, "bundled")[0]()
    train, held_out = (
        np.load(arguments.work / f"{part}-{generator.height}.npy", mmap_mode="r") for part in ("train", "val")
    )
    count = min(arguments.count, len(held_out) // 2)
    shuffled = np.random.default_rng(0).permutation(len(held_out))
    real, others = (np.asarray(held_out[np.sort(part)]) for part in (shuffled[:count], shuffled[count : 2 * count]))
    seen = np.asarray(train[np.sort(np.random.default_rng(0).permutation(len(train))[:count])])
    rebuilt = drawn(generator, encoded(generator, real))
    torch.manual_seed(0)
    random = drawn(generator, torch.randn(count, generator.latent_size))
    print(f"{generator.name}, {count} images")
    print(f"PSNR through encoder and generator: held-out {psnr(rebuilt, real):.2f} dB, "
          f"seen in training {psnr(drawn(generator, encoded(generator, seen)), seen):.2f} dB", flush=True)  # fmt: skip
    classifier = load_classifier(BUNDLED, "model", "float32", Context())
    anchor = features(classifier, real)
    for name, images in (
        ("other held-out images", others),
        ("the same, rebuilt", rebuilt),
        ("random draws", random),
    ):
        print(f"Fréchet distance of held-out images to {name}: {frechet(anchor, features(classifier, images)):.3f}")
    originals = samples(generator)
    rows = [originals, drawn(generator, encoded(generator, originals)), *np.split(random[: 2 * COLUMNS], 2)]
    PillowImage.fromarray(np.concatenate([np.concatenate(list(row), axis=1) for row in rows])).save(arguments.image)


if __name__ == "__main__":
    main()
