"""Rate–distortion of every codec on photographs, what each saves against an anchor, and what each costs to compute.

    python benchmarks/codec_study.py PHOTOGRAPHS [--suite suites/neural-vs-classical.yaml] [--anchor jpeg] [--limit N]
        [--output RUN] [--figure CURVES.png] [--set codecs.autoencoder.model=…]

PHOTOGRAPHS is a folder of images that nothing here was trained on. For every codec, bits per pixel and quality are
averaged over the images at each operating point, and BD-rates (Bjøntegaard 2001, ITU-T VCEG-M33; by PCHIP
over the logarithm of the rate, where the curves overlap) are those of the averaged curves, with their 95 % bootstrap
intervals over images. Times are medians over images, of the middle operating point. Multiplications are
those that torch does for 512×512 pixels, so that codecs without networks have none.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from skimage.data import astronaut
from torch.utils.flop_counter import FlopCounterMode

import qbench
from qbench.plugin import Context, Image
from qbench.registry.registry import default_registry
from qbench.reporting.bd import bd_rates
from qbench.reporting.curves import Curves, curves

QUALITIES = {"psnr": "PSNR (dB)", "ms-ssim.db": "MS-SSIM (dB)"}


def print_curves(found: Curves, anchor: str) -> None:
    """Print the points of every curve, and what it saves against the anchor's."""
    for label, points in found.by_codec.items():
        print(f"  {label}: " + ", ".join(f"{point.rate:.3f} bpp {point.value:.2f} dB" for point in points))
    for saved in bd_rates(found, anchor):
        if saved.percent is None:
            print(f"  no BD-rate of {saved.codec}: {saved.reason}")
            continue
        sure = "" if saved.low is None else f" [{saved.low:+.1f}, {saved.high:+.1f}]"
        print(
            f"  BD-rate of {saved.codec} against {anchor}: {saved.percent:+.1f} %{sure}, "
            f"from {saved.lower:.1f} to {saved.upper:.1f} dB"
        )


def print_costs(run: qbench.Run, label: str) -> None:
    """Print times and multiplications of a codec's middle operating point."""
    points = [point for point in run.plan.points if point.label == label]
    point = points[len(points) // 2]
    timings = [row.cell.timing for row in run.rows if row.point == point.id and row.cell and row.cell.timing]
    encode, decode = (
        1000 * np.median([getattr(timing, what).seconds for timing in timings]) for what in ("encode", "decode")
    )
    codec_class = default_registry().codecs[point.codec]
    codec = codec_class(codec_class.Parameters.model_validate(dict(point.parameters), strict=False), Context())
    codec.setup()
    image = Image(astronaut())

    def multiplications(work: Callable[[], object]) -> float:
        with FlopCounterMode(display=False) as counter:
            work()
        return counter.get_total_flops() / 2 / (image.height * image.width) / 1000

    bitstream = codec.encode(image)
    costs = [multiplications(work) for work in (lambda: codec.encode(image), lambda: codec.decode(bitstream))]
    print(f"  {point.id}: {encode:.1f} and {decode:.1f} ms; {costs[0]:.1f} and {costs[1]:.1f} kMAC/pixel")


def draw(path: Path, found: Sequence[Curves]) -> None:
    """Draw curves, one panel for each quality."""
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(found), figsize=(6.4 * len(found), 5), layout="constrained")
    for panel, each in zip(panels, found, strict=True):
        for index, (label, points) in enumerate(each.by_codec.items()):
            rates, values = zip(*((point.rate, point.value) for point in points), strict=True)
            panel.plot(rates, values, marker="osD^vP*X"[index % 8], markersize=4, label=label)
        panel.set(xscale="log", xlabel="bits per pixel", ylabel=QUALITIES[each.metric])
        panel.grid(visible=True, which="both", alpha=0.3)
        panel.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run, and print."""
    torch.set_num_threads(1)  # multiplications of other threads are not seen
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--suite", type=Path, default=Path("suites/neural-vs-classical.yaml"))
    parser.add_argument("--anchor", default="jpeg")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    limit = f", limit: {arguments.limit}" if arguments.limit else ""
    images = f"images=[{{folder: {arguments.photographs.resolve()}{limit}}}]"
    run = qbench.run(arguments.suite, overrides=[images, *arguments.overrides], output=arguments.output)
    found = [curves(run, column) for column in QUALITIES]
    for each in found:
        print(f"\n{each.metric}, mean of {len(each.images)} photographs")
        print_curves(each, arguments.anchor)
    print("\nencoding and decoding")
    for label in dict.fromkeys(point.label for point in run.plan.points):
        print_costs(run, label)
    if arguments.figure:
        draw(arguments.figure, found)


if __name__ == "__main__":
    main()
