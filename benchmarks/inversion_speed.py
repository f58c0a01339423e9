"""How long does the GAN inversion take to get as near as the thesis's?

The thesis descends 30,000 steps of SGD from a random latent. For each sample picture that is done here, and then it is
counted after how many iterations, and after how many seconds, other optimisers from other starts have reached the loss
that it ended at:

    python benchmarks/inversion_speed.py GENERATOR [--iterations 30000] [--device cpu]

A generator's name or file is meant as in suites. Seconds mean little on another machine;
the ratios do.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from PIL import Image

from qbench import Context, Pixels
from qbench.home import dataset_home
from qbench.registry import default_registry
from qbench_gan.generators import chosen
from qbench_gan.inversion import Search
from qbench_gan.inverter import Inverter

MOST = 3000
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
    """Return the sample pictures at the generator's size."""
    dataset = default_registry().datasets["samples"]()
    sources = dataset.images(dataset_home("samples"))
    return {
        source.name: np.asarray(Image.fromarray(source.read().pixels).resize(size, Image.Resampling.BICUBIC))
        for source in sources
    }


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
    print(f"generator {generator.name}, {arguments.device}")
    for name, picture in samples((generator.width, generator.height)).items():
        first, second = (
            np.random.default_rng(seed).standard_normal((1, 1, generator.latent_size)).astype(np.float32)
            for seed in (0, 1)
        )
        began = time.perf_counter()
        thesis = Search("sgd", arguments.iterations, 1.0, patience=10)
        found = inverter.find(picture[None], first, thesis, "random")
        taken = time.perf_counter() - began
        goal = float(found.losses)
        print(f"{name}: SGD from random, {arguments.iterations} iterations, {taken:.1f} s: loss {goal:.6f}", flush=True)
        for optimiser, rate, patience, start in WAYS:
            if start == "encoder" and generator.encoder(arguments.device) is None:
                continue
            began = time.perf_counter()
            search = Search(optimiser, MOST, rate, patience=patience)  # type: ignore[arg-type]
            history = inverter.find(picture[None], second, search, start).history
            seconds = (time.perf_counter() - began) / max(1, len(history) - 1)
            reached = next((index for index, loss in enumerate(history) if loss <= goal), None)
            if reached is None:
                print(f"  {optimiser:5} from {start:7}: not in {MOST} iterations; {min(history):.6f}", flush=True)
            else:
                share, needed = 100 * reached / arguments.iterations, reached * seconds
                print(
                    f"  {optimiser:5} from {start:7}: {reached:5} iterations ({share:.2f} %), {needed:7.2f} s, "
                    f"{taken / max(1e-9, needed):8.0f}× faster; in the end {min(history):.6f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
