"""How long does the GAN inversion take to get as near as the thesis's?

The thesis descends 30,000 steps of SGD from a random latent. For each sample image that is done here, and then it is
counted after how many iterations, and after how many seconds, other optimisers from other starts have reached the loss
that it ended at:

    python benchmarks/inversion_speed.py GENERATOR [--iterations 30000] [--device cpu]

A generator's name or file is meant as in suites. Seconds mean little on another machine; the ratios do. (But for
L-BFGS they are of an iteration with all images at once.)
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from qbench.home import dataset_home
from qbench.plugin import Context, Pixels
from qbench.registry.registry import default_registry
from qbench_gan.generators import chosen
from qbench_gan.inversion import Search
from qbench_gan.inverter import Inverter

MOST = 1000
"""Iterations that the others are given."""
WAYS = (
    ("sgd", 1.0, 10, "random"),
    ("sgd", 1.0, 10, "encoder"),
    ("adam", 0.05, 0, "random"),
    ("adam", 0.05, 0, "mean"),
    ("adam", 0.05, 0, "encoder"),
    ("lbfgs", 1.0, 0, "mean"),
    ("lbfgs", 1.0, 0, "encoder"),
)


def samples(size: tuple[int, int]) -> dict[str, Pixels]:
    """Return the sample images at the generator's size."""
    dataset = default_registry().datasets["samples"]()
    sources = dataset.images(dataset_home("samples"))
    return {
        source.name: np.asarray(Image.fromarray(source.read().pixels).resize(size, Image.Resampling.BICUBIC))
        for source in sources
    }


def histories(
    inverter: Inverter, images: Pixels, draws: npt.NDArray[np.float32], how: Search, start: str
) -> tuple[npt.NDArray[np.float64], float]:
    """Return the loss of each image at each iteration, iterations × images, and the seconds of an iteration.

    All images are searched for together, each as if it were alone; but L-BFGS, one by one.
    """
    if how.optimiser == "lbfgs" and len(images) > 1:
        parts = [
            histories(inverter, images[one : one + 1], draws[one : one + 1], how, start) for one in range(len(images))
        ]
        return np.concatenate([losses for losses, _ in parts], axis=1), float(np.mean([part[1] for part in parts]))
    losses = []

    def record(iteration: int, now: torch.Tensor) -> None:
        losses.append(now.double().cpu().numpy())

    began = time.perf_counter()
    inverter.find(images, draws, how, start, record)
    return np.array(losses), (time.perf_counter() - began) / max(1, len(losses) - 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generator")
    parser.add_argument("--iterations", type=int, default=30_000)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    context = Context(arguments.device)
    generator = chosen(arguments.generator, "bundled")[0]()
    inverter = Inverter(generator, {"mse": 1.0}, context)
    names, images = zip(*samples((generator.width, generator.height)).items(), strict=True)
    targets = np.stack(images)
    first, second = (
        np.random.default_rng(seed).standard_normal((len(targets), 1, generator.latent_size)).astype(np.float32)
        for seed in (0, 1)
    )
    thesis = Search("sgd", arguments.iterations, 1.0, patience=10)
    losses, seconds = histories(inverter, targets, first, thesis, "random")
    goals = losses.min(axis=0)
    taken = seconds * arguments.iterations
    print(f"generator {generator.name}, {arguments.device}, {torch.get_num_threads()} threads")
    print(f"SGD from random, {arguments.iterations} iterations, {taken:.0f} s for {len(names)} images: loss "
          + ", ".join(f"{name} {goal:.6f}" for name, goal in zip(names, goals, strict=True)), flush=True)  # fmt: skip
    for optimiser, rate, patience, start in WAYS:
        if start == "encoder" and generator.encoder(arguments.device) is None:
            continue
        how = Search(optimiser, MOST, rate, patience=patience)  # type: ignore[arg-type]
        losses, seconds = histories(inverter, targets, second, how, start)
        told = []
        for index, name in enumerate(names):
            below = np.flatnonzero(losses[:, index] <= goals[index])
            needed = f"{below[0]} ({100 * below[0] / arguments.iterations:.2f} %)" if len(below) else f"not in {MOST}"
            told.append(f"{name} {needed}, best {np.nanmin(losses[:, index]):.6f}")
        print(f"{optimiser:5} from {start:7} {1000 * seconds:6.1f} ms an iteration: {'; '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
