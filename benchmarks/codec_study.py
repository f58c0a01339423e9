"""Rate–distortion of every codec on photographs, and what each saves against an anchor.

    python benchmarks/codec_study.py PHOTOGRAPHS [--suite suites/neural-vs-classical.yaml] [--anchor jpeg] [--limit N]
        [--output RUN] [--set codecs.autoencoder.model=…]

PHOTOGRAPHS is a folder of pictures that nothing here was trained on. For every codec, bits a pixel and quality are
averaged over the pictures at each operating point, and BD-rates (Bjøntegaard 2001, ITU-T VCEG-M33; by Akima splines
over the logarithm of the rate) are those of the averaged curves; of MS-SSIM, in its logarithmic form -10·log10(1 - x).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import bjontegaard
import numpy as np

import qbench

Curve = list[tuple[float, float]]


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


def main() -> None:
    """Run, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--suite", type=Path, default=Path("suites/neural-vs-classical.yaml"))
    parser.add_argument("--anchor", default="jpeg")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    limit = f", limit: {arguments.limit}" if arguments.limit else ""
    images = f"images=[{{folder: {arguments.photographs.resolve()}{limit}}}]"
    run = qbench.run(arguments.suite, overrides=[images, *arguments.overrides], output=arguments.output)
    for column in ("psnr", "ms-ssim"):
        found = curves(run, column)
        print(f"\n{column}, mean of {len(run.plan.images)} photographs")
        for label, points in found.items():
            print(f"  {label}: " + ", ".join(f"{rate:.3f} bpp {value:.2f} dB" for rate, value in points))
        anchor = found[arguments.anchor]
        for label, points in found.items():
            if label == arguments.anchor:
                continue
            saved = bjontegaard.bd_rate(
                *zip(*anchor, strict=True), *zip(*points, strict=True), method="akima", require_matching_points=False
            )
            print(f"  BD-rate of {label} against {arguments.anchor}: {saved:+.1f} %")
    for label in dict.fromkeys(point.label for point in run.plan.points):
        timings = [row.cell.timing for row in run.rows if row.cell and row.cell.timing and row.point.startswith(label)]
        encode, decode = (np.median([getattr(timing, what) for timing in timings]) for what in ("encode", "decode"))
        print(f"{label}: median encode {1000 * encode:.1f} ms, decode {1000 * decode:.1f} ms")


if __name__ == "__main__":
    main()
