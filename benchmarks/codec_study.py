"""Rate–distortion of every codec on photographs, what each saves against an anchor, and what each costs to compute.

    pip install -e '.[benchmarks]'
    python benchmarks/codec_study.py PHOTOGRAPHS [--suite suites/neural-vs-classical.yaml] [--anchor jpeg] [--limit N]
        [--output RUN] [--figure CURVES.png] [--set codecs.autoencoder.model=…]

PHOTOGRAPHS is a folder of pictures that nothing here was trained on. For every codec, bits a pixel and quality are
averaged over the pictures at each operating point, and BD-rates (Bjøntegaard 2001, ITU-T VCEG-M33; by Akima splines
over the logarithm of the rate, where the curves overlap) are those of the averaged curves; of MS-SSIM, in its
logarithmic form -10·log10(1 - x). Times are medians over pictures, of the middle operating point. Multiplications are
those that torch does for 512×512 pixels, so that codecs without networks have none.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import bjontegaard
import matplotlib
import numpy as np
from skimage.data import astronaut
from torch.utils.flop_counter import FlopCounterMode

import qbench
from qbench.registry import default_registry

Curve = list[tuple[float, float]]
QUALITIES = {"psnr": "PSNR (dB)", "ms-ssim": "MS-SSIM (dB)"}


def curves(run: qbench.Run, column: str) -> dict[str, Curve]:
    """Return label → points of (bits a pixel, quality), rising in rate."""
    found: dict[str, Curve] = {}
    for point in run.plan.points:
        rows = [row for row in run.rows if row.point == point.id and row.entries[column].value is not None]
        rates = [float(row.entries["bpp"].value or 0) for row in rows]
        values = np.array([float(row.entries[column].value or 0) for row in rows])
        if column == "ms-ssim":
            values = -10 * np.log10(1 - values)
        if len(rows):
            found.setdefault(point.label, []).append((float(np.mean(rates)), float(values.mean())))
    return {label: sorted(points) for label, points in found.items()}


def print_curves(found: Mapping[str, Curve], anchor: str) -> None:
    """Print the points of every curve, and what it saves against the anchor's."""
    for label, points in found.items():
        print(f"  {label}: " + ", ".join(f"{rate:.3f} bpp {value:.2f} dB" for rate, value in points))
    for label, points in found.items():
        if label == anchor:
            continue
        axes = zip(*found[anchor], strict=True), zip(*points, strict=True)
        (rates, values), (other_rates, other_values) = axes
        saved = bjontegaard.bd_rate(
            rates, values, other_rates, other_values, method="akima", require_matching_points=False, min_overlap=0
        )
        lowest, highest = max(values[0], other_values[0]), min(values[-1], other_values[-1])
        print(f"  BD-rate of {label} against {anchor}: {saved:+.1f} %, from {lowest:.1f} to {highest:.1f} dB")


def print_costs(run: qbench.Run, label: str) -> None:
    """Print times and multiplications of a codec's middle operating point."""
    points = [point for point in run.plan.points if point.label == label]
    point = points[len(points) // 2]
    timings = [row.cell.timing for row in run.rows if row.point == point.id and row.cell and row.cell.timing]
    encode, decode = (1000 * np.median([getattr(timing, what) for timing in timings]) for what in ("encode", "decode"))
    codec_class = default_registry().codecs[point.codec]
    codec = codec_class(codec_class.Parameters.model_validate(dict(point.parameters), strict=False), qbench.Context())
    pixels = astronaut()

    def multiplications(work: Callable[[], object]) -> float:
        with FlopCounterMode(display=False) as counter:
            work()
        return counter.get_total_flops() / 2 / (pixels.shape[0] * pixels.shape[1]) / 1000

    bitstream = codec.encode(pixels)
    costs = [multiplications(work) for work in (lambda: codec.encode(pixels), lambda: codec.decode(bitstream))]
    print(f"  {point.id}: {encode:.1f} and {decode:.1f} ms; {costs[0]:.1f} and {costs[1]:.1f} kMAC a pixel")


def draw(path: Path, found: Mapping[str, Mapping[str, Curve]]) -> None:
    """Draw curves, one panel for each quality."""
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(found), figsize=(6.4 * len(found), 5), layout="constrained")
    for panel, (column, by_label) in zip(panels, found.items(), strict=True):
        for index, (label, points) in enumerate(by_label.items()):
            rates, values = zip(*points, strict=True)
            panel.plot(rates, values, marker="osD^vP*X"[index % 8], markersize=4, label=label)
        panel.set(xscale="log", xlabel="bits a pixel", ylabel=QUALITIES[column])
        panel.grid(visible=True, which="both", alpha=0.3)
        panel.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run, and print."""
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
    found = {column: curves(run, column) for column in QUALITIES}
    for column, by_label in found.items():
        print(f"\n{column}, mean of {len(run.plan.images)} photographs")
        print_curves(by_label, arguments.anchor)
    print("\nencoding and decoding")
    for label in dict.fromkeys(point.label for point in run.plan.points):
        print_costs(run, label)
    if arguments.figure:
        draw(arguments.figure, found)


if __name__ == "__main__":
    main()
