"""What does each part of the latent coder buy? The table of docs/gan-inversion.md.

Latents of photographs are looked for once, and then sent in several ways:

- QSGD with Elias omega codes, as the thesis did;
- a uniform quantiser with range coding, whose CDFs know the scale of each number of a latent;
- the same with refinement: the search goes on through the quantiser;
- tiles whose tables also know how far the numbers of neighbouring tiles spread, against tiles that don't.

    python benchmarks/inversion_coders.py GENERATOR PHOTOGRAPHS [--limit 32] [--tiled 6]

Bytes are those of the latents, without the header, at the PSNR (over all pixels) that QSGD reaches at each precision,
interpolated between a coder's precisions.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from qbench.plugin import Context, Generator, Pixels
from qbench_gan import qsgd
from qbench_gan.entropy import LatentCoder
from qbench_gan.generators import chosen
from qbench_gan.inverter import Inverter
from qbench_gan.settings import InversionParameters
from qbench_gan.tiles import Tiling

Latents = npt.NDArray[np.float32]
BITS = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 7, 8)
REFINE = 30


class Study:
    """Latents of some targets, and what becomes of them."""

    def __init__(self, generator: Generator, targets: Pixels) -> None:
        self.generator = generator
        self.targets = targets
        self.inverter = Inverter(generator, {"mse": 1.0}, Context())
        self.network = generator.network("cpu")
        settings = InversionParameters()
        draws = np.random.default_rng(0).standard_normal((len(targets), 1, generator.latent_size)).astype(np.float32)
        self.latents: Latents = self.inverter.find(targets, draws, settings.search(), "auto").latents.numpy()

    def psnr(self, latents: npt.NDArray[np.floating]) -> float:
        """PSNR over all pixels of all targets."""
        with torch.inference_mode():
            made = torch.cat([self.network(part) for part in torch.from_numpy(latents).float().split(32)])
        low, high = self.generator.low, self.generator.high
        shares = ((made - low) / (high - low)).clamp(0, 1).permute(0, 2, 3, 1).numpy()
        error = np.mean((np.rint(255.0 * shares) - self.targets) ** 2)
        return float(10 * np.log10(255**2 / error))

    def uniform(self, code: Callable[[npt.NDArray[np.int32], int], int], *, refine: bool) -> list[tuple[float, float]]:
        """Bytes a target and PSNR at every precision."""
        points = []
        for bits in BITS:
            precision = InversionParameters(bits=bits).precision
            step = 2.0 ** (precision / 4)
            latents = self.inverter.refine(self.latents, self.targets, step, REFINE) if refine else self.latents
            levels = np.rint(latents / step).astype(np.int32)
            points.append((code(levels, precision) / len(levels), self.psnr(levels * step)))
        return points

    def qsgd(self) -> list[tuple[float, float]]:
        """The same for the thesis's coder, each target by itself, at 1 to 8 bits."""
        points = []
        for bits in range(1, 9):
            rng = np.random.default_rng(bits)
            size, back = 0, []
            for latent in self.latents:
                norm, quantised = qsgd.quantise(latent, bits, rng)
                size += len(qsgd.write(norm, quantised, thesis_exact=False))
                back.append(qsgd.dequantise(norm, quantised, bits))
            points.append((size / len(self.latents), self.psnr(np.array(back))))
        return points

    def expected(self, precision: int) -> npt.NDArray[np.int32]:
        """CDFs of the numbers of a latent, before neighbours have been seen; 20 is a standard deviation of 1."""
        return np.array(self.generator.log2_scales or [0] * self.generator.latent_size, np.int32) - precision + 20

    def alone(self, levels: npt.NDArray[np.int32], precision: int) -> int:
        """Bytes, each target by itself."""
        return sum(len(LatentCoder(self.expected(precision), 1, 1).encode(own[None, None])) for own in levels)


def report(curves: dict[str, list[tuple[float, float]]], anchor: str) -> None:
    """Print the points of every curve, and bytes at the anchor's PSNRs."""
    for name, points in curves.items():
        print(f"{name}: " + ", ".join(f"{size:.0f} B {psnr:.2f} dB" for size, psnr in points))
    others = [name for name in curves if name != anchor]
    print(f"\n| PSNR | {anchor} | " + " | ".join(others) + " |\n|" + "---:|" * (len(curves) + 1))
    for size, psnr in curves[anchor]:
        cells = []
        for name in others:
            quality, sizes = np.array([point[1] for point in curves[name]]), [point[0] for point in curves[name]]
            rising = np.maximum.accumulate(quality)
            if not rising[0] <= psnr <= rising[-1]:
                cells.append("–")
                continue
            found = np.exp(np.interp(psnr, rising, np.log(sizes)))
            cells.append(f"{found:.0f} B ({100 * (found / size - 1):+.0f} %)")
        print(f"| {psnr:.2f} dB | {size:.0f} B | " + " | ".join(cells) + " |")
    print(flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generator", help="a name or file, as in suites")
    parser.add_argument("photographs", type=Path, help="folder; not images that the generator was trained on")
    parser.add_argument("--limit", type=int, default=32, help="photographs that are sent whole")
    parser.add_argument("--tiled", type=int, default=6, help="photographs that are sent as tiles")
    arguments = parser.parse_args()
    generator = chosen(arguments.generator, "bundled")[0]()
    size = (generator.width, generator.height)
    paths = sorted(arguments.photographs.glob("*.[jp][pn]g"))[: arguments.limit]
    photographs = [Image.open(path).convert("RGB") for path in paths]

    whole = Study(generator, np.stack([np.asarray(photo.resize(size, Image.BICUBIC)) for photo in photographs]))
    print(f"{generator.name}: {len(photographs)} photographs, whole; search without quantiser "
          f"{whole.psnr(whole.latents):.2f} dB")  # fmt: skip
    report(
        {
            "QSGD": whole.qsgd(),
            "uniform": whole.uniform(whole.alone, refine=False),
            "uniform, refined": whole.uniform(whole.alone, refine=True),
        },
        "QSGD",
    )

    pixels = [np.asarray(photo) for photo in photographs[: arguments.tiled]]
    tilings = [Tiling(one.shape[1], one.shape[0], *size, 8) for one in pixels]
    tiles = Study(generator, np.concatenate([tiling.cut(one) for tiling, one in zip(tilings, pixels, strict=True)]))
    ends = np.cumsum([tiling.rows * tiling.columns for tiling in tilings])

    def together(levels: npt.NDArray[np.int32], precision: int) -> int:
        parts = np.split(levels, ends[:-1])
        return sum(
            len(
                LatentCoder(tiles.expected(precision), tiling.rows, tiling.columns).encode(
                    part.reshape(tiling.rows, tiling.columns, -1)
                )
            )
            for tiling, part in zip(tilings, parts, strict=True)
        )

    print(f"{len(pixels)} photographs as {len(tiles.targets)} tiles; search without quantiser "
          f"{tiles.psnr(tiles.latents):.2f} dB; bytes a tile")  # fmt: skip
    report(
        {
            "QSGD": tiles.qsgd(),
            "tiles alone": tiles.uniform(tiles.alone, refine=False),
            "with neighbours": tiles.uniform(together, refine=False),
            "with neighbours, refined": tiles.uniform(together, refine=True),
        },
        "QSGD",
    )


if __name__ == "__main__":
    main()
