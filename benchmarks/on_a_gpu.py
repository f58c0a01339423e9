"""What a GPU does for whole runs, and what runs ask of one: ``python benchmarks/on_a_gpu.py [PART …]``.

Parts (all that can be measured here by default):

- ``counts``: launches, waits and bytes for each reconstruction, by metric and codec, on a GPU that is only pretended
  (``qbench.testing.accelerator``). Needs none, and says nothing about seconds.
- ``runs``: the thesis suite, and photographs × ``neural-vs-classical``, on a GPU and on the processor: seconds, cells a
  second, the share of the time that the GPU is busy (by ``nvidia-smi``, five times a second), and where its times and
  values differ.
- ``plain``: PSNR, SSIM and MS-SSIM of as many JPEGs by torchmetrics in a loop on the GPU, beside qbench's run of them.
- ``large``: the ViT-Score by ViT-B/16 at 384 (profile hub), if its weights are downloaded.

``--images`` is a folder of photographs; by default 24 crops of scikit-image's.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from against_peers import make_images
from PIL import Image as PillowImage

import qbench
from qbench.execute.accelerators import conditions_of, exactly, resolve_device
from qbench.execute.scoring import batches, feature_batches, score_batches, score_several
from qbench.plugin import Candidates, Context, DistributionMetric, Image, Metric, Reference
from qbench.registry.registry import default_registry
from qbench.testing.accelerator import DEVICE, Costs, pretended_accelerator

POINTS = (5, 23)
"""Operating points of an image: of the photographs' job, and of the thesis suite."""
METRICS = ("ssim", "ms-ssim", "vit-score", "fid")
CODECS: dict[str, dict[str, Any]] = {
    "autoencoder": {"quality": 4},
    "jpeg-restore": {"quality": 30},
    "gan-inversion": {},
    "gan-inversion, tiles": {"mode": "tile", "iterations": 30},
}
SUITES = Path(__file__).parent.parent / "suites"
QUALITIES = (5, 25, 50, 75, 95)


def counts(images: Path) -> None:
    """Print what runs ask of a GPU."""
    pixels = qbench.read_image(sorted(images.iterdir())[0]).pixels
    jpegs = [Image(_jpeg(pixels, quality)) for quality in np.linspace(5, 95, max(POINTS)).astype(int)]
    print(f"{pixels.shape[1]}×{pixels.shape[0]}, each for one reconstruction\n")
    print("| | operating points | launches | waits | MB up |\n|---|---|---|---|---|")
    for count in POINTS:
        for name in METRICS:
            print(_row(name, str(count), _of_metric(name, Image(pixels), jpegs[:count]), count))
    for name in METRICS:
        cls = default_registry().metrics[name]
        if issubclass(cls, Metric) and cls.score_several is not Metric.score_several:
            several = [Candidates(Reference("a", Image(pixels), DEVICE), jpegs[:5], [1] * 5, DEVICE)] * 11
            print(_row(name, "5, of 11 images together", _several(name, several), 55))
    square = Image(np.ascontiguousarray(pixels[:128, :128]))
    for name, settings in CODECS.items():
        for what, costs in _of_codec(name.partition(",")[0], settings, square).items():
            print(_row(f"{name}, {what} (128×128)", "1", costs, 1))


def _row(name: str, points: str, costs: Costs, divisor: int) -> str:
    up = costs.up / divisor / 1e6
    return f"| {name} | {points} | {costs.kernels / divisor:.0f} | {costs.waits / divisor:.1f} | {up:.2f} |"


def _of_metric(name: str, original: Image, made: Sequence[Image]) -> Costs:
    cls = default_registry().metrics[name]
    with exactly("cuda:0"), pretended_accelerator() as costs:
        metric = cls(cls.Parameters(), Context(DEVICE))
        for _ in range(2):  # the first carries networks there
            costs.clear()
            reference = Reference("a", original, DEVICE)
            groups = list(batches(reference, made, [1] * len(made)))
            if isinstance(metric, DistributionMetric):
                feature_batches(metric, groups)
            else:
                score_batches(metric, reference, groups)
    return costs


def _several(name: str, groups: Sequence[Candidates]) -> Costs:
    cls = default_registry().metrics[name]
    with exactly("cuda:0"), pretended_accelerator() as costs:
        metric = cls(cls.Parameters(), Context(DEVICE))
        for _ in range(2):
            costs.clear()
            score_several(metric, groups)
    return costs


def _of_codec(name: str, settings: dict[str, Any], original: Image) -> dict[str, Costs]:
    cls = default_registry().codecs[name]
    found = {}
    with exactly("cuda:0"):
        for what in ("encoding", "decoding"):
            with pretended_accelerator() as costs:
                codec = cls(cls.Parameters.model_validate(settings), Context(DEVICE))
                bitstream = codec.encode(original)
                codec.decode(bitstream)
                costs.clear()
                if what == "encoding":
                    codec.encode(original)
                else:
                    codec.decode(bitstream)
            found[what] = costs
    return found


def _jpeg(pixels: Any, quality: int) -> Any:
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "JPEG", quality=int(quality))
    return np.asarray(PillowImage.open(buffer))


@contextmanager
def watched() -> Iterator[list[float]]:
    """Collect how busy the first GPU is, in percent, while the block runs."""
    found: list[float] = []
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200", "-i", "0"]
    program = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    reader = threading.Thread(target=lambda: found.extend(float(line) for line in program.stdout or () if line.strip()))
    reader.start()
    try:
        yield found
    finally:
        program.terminate()
        reader.join()


def runs(images: Path, work: Path) -> None:
    """Print what whole runs take on a GPU and on the processor."""
    photographs = yaml.safe_load((SUITES / "neural-vs-classical.yaml").read_text())
    photographs["images"] = [{"folder": str(images)}]
    photographs["metrics"] = ["bpp", "psnr", "ssim", "ms-ssim", "vit-score"]
    jobs = {"thesis": str(SUITES / "thesis.yaml"), "photographs": photographs}
    print("| suite | device | seconds | cells/s | GPU busy |\n|---|---|---|---|---|")
    for name, suite in jobs.items():
        made = {}
        for device in ("cuda:0", "cpu"):
            with watched() as busy:
                start = time.perf_counter()
                made[device] = qbench.run(suite, output=work / f"{name}-{device[:4]}", cache=False, device=device)
                wall = time.perf_counter() - start
            share = f"{statistics.mean(busy):.0f} %" if busy else ""
            print(f"| {name} | {device} | {wall:.1f} | {len(made[device].rows) / wall:.1f} | {share} |", flush=True)
        print(f"\n{name}: {_apart(made['cuda:0'], made['cpu'])}\n")


def _apart(one: qbench.Run, other: qbench.Run) -> str:
    """Say how far the values of two runs are apart at most, by column, where both coded to the same pixels."""
    largest: dict[str, float] = {}
    same = 0
    for mine, its in zip(one.rows, other.rows, strict=True):
        if mine.cell is None or its.cell is None or mine.cell.reconstruction_sha256 != its.cell.reconstruction_sha256:
            continue
        same += 1
        for name, entry in mine.entries.items():
            pair = entry.value, its.entries[name].value
            if None not in pair and all(map(np.isfinite, pair)):
                largest[name] = max(largest.get(name, 0.0), abs(pair[0] - pair[1]))
    shown = ", ".join(f"{name} {value:.1g}" for name, value in largest.items())
    return f"{same} of {len(one.rows)} cells have the same pixels; their values differ by at most: {shown}"


def plain(images: Path, work: Path) -> None:
    """Print what a loop of torchmetrics takes beside qbench, on the GPU."""
    import torch
    from torchmetrics.functional.image import (
        multiscale_structural_similarity_index_measure as ms_ssim,
    )
    from torchmetrics.functional.image import peak_signal_noise_ratio as psnr
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    def loop() -> int:
        done = 0
        for path in sorted(images.iterdir()):
            pixels = qbench.read_image(path).pixels
            original = torch.from_numpy(pixels.copy()).cuda().permute(2, 0, 1)[None].float()
            for quality in QUALITIES:
                made = torch.from_numpy(_jpeg(pixels, quality).copy()).cuda().permute(2, 0, 1)[None].float()
                _ = [float(measure(made, original, data_range=255.0)) for measure in (psnr, ssim, ms_ssim)]
                done += 1
        return done

    suite = {
        "name": "plain",
        "images": [{"folder": str(images)}],
        "codecs": {"jpeg": {"quality": list(QUALITIES)}},
        "metrics": ["psnr", "ssim", "ms-ssim"],
        "keep": {"reconstructions": False},
    }
    loop()
    start = time.perf_counter()
    done = loop()
    theirs = time.perf_counter() - start
    start = time.perf_counter()
    qbench.run(suite, output=work / "plain", cache=False, device="cuda")
    ours = time.perf_counter() - start
    print(f"{done} JPEGs, PSNR, SSIM, MS-SSIM: loop of torchmetrics {theirs:.1f} s; qbench, start to end, {ours:.1f} s")


def large(images: Path, work: Path) -> None:
    """Print what ViT-B/16 at 384 takes."""
    suite = {
        "name": "large",
        "profile": "hub",
        "images": [{"folder": str(images)}],
        "codecs": {"jpeg": {"quality": list(QUALITIES)}},
        "metrics": ["vit-score"],
    }
    with watched() as busy:
        start = time.perf_counter()
        made = qbench.run(suite, output=work / "large", cache=False, device="cuda")
        wall = time.perf_counter() - start
    print(f"{len(made.rows)} cells in {wall:.1f} s, GPU busy {statistics.mean(busy or [0]):.0f} %")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="counts, runs, plain, large")
    parser.add_argument("--images", type=Path, help="a folder of photographs")
    options = parser.parse_args()
    device = resolve_device("auto")
    print(f"{platform.platform()}, {os.cpu_count()} cores, {conditions_of((device,)) if device != 'cpu' else 'no GPU'}")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        images = options.images.absolute() if options.images else make_images(work / "24", 24)
        for part in options.parts or (("counts",) if device == "cpu" else ("counts", "runs", "plain", "large")):
            print(f"\n## {part}\n", flush=True)
            if part == "counts":
                counts(images)
            elif device == "cpu":
                print("no GPU here: not measured")
            elif part in ("runs", "plain", "large"):
                try:
                    {"runs": runs, "plain": plain, "large": large}[part](images, work)
                except qbench.QbenchError as error:
                    print(f"not measured: {error}")
            else:
                sys.exit(f"unknown part {part}; accepted: counts, runs, plain, large")


if __name__ == "__main__":
    main()
