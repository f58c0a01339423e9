"""How fast is a whole run, and how much of it is qbench's own?

JPEG at five qualities with PSNR and MS-SSIM over 24 images of 768×512, as a person would run it: the whole
process, start-up and imports included, `--jobs 1` and `--jobs 2` in turn; peak memory over 24 and over 240 images;
and, in one process without overlap, how much time is spent outside codec and metric code.

    python benchmarks/whole_process.py [--pairs 5]

The images are cut and resized from scikit-image's photographs. Numbers of one machine mean little elsewhere; the
ratios, taken side by side, do.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import skimage.data
import yaml
from PIL import Image

WIDTH, HEIGHT = 768, 512
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "retina")


def make_images(folder: Path, count: int) -> None:
    """Cut crops of 3:2 at random places out of the photographs, and resize them to 768×512."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    photographs = [Image.fromarray(getattr(skimage.data, name)()[..., :3]) for name in PHOTOGRAPHS]
    for index in range(count):
        image = photographs[index % len(photographs)]
        width = min(image.width, image.height * 3 // 2)
        width = int(width * rng.uniform(0.6, 1.0))
        height = width * 2 // 3
        left = int(rng.integers(image.width - width + 1))
        top = int(rng.integers(image.height - height + 1))
        crop = image.crop((left, top, left + width, top + height))
        crop.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(folder / f"{index:03d}.png")


def write_suite(path: Path, images: Path, *, keep: bool = True, exclusive: bool = False) -> Path:
    """Write the suite that is measured."""
    suite = {
        "images": [{"folder": str(images)}],
        "codecs": {"jpeg": {"quality": [5, 25, 50, 75, 95]}},
        "metrics": ["psnr", "ms-ssim"],
        "keep": {"reconstructions": keep},
        "timing": {"exclusive": exclusive},
    }
    path.write_text(yaml.safe_dump(suite))
    return path


def whole_process(suite: Path, work: Path, jobs: int) -> tuple[float, float]:
    """Return wall seconds of `qbench run`, and the peak resident memory in MB of its largest process."""
    output = Path(tempfile.mkdtemp(dir=work))
    command = [sys.executable, "-m", "qbench", "run", suite, "-o", output / "run", "-q", "--no-cache", "-j", jobs]
    start = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"qbench failed: {command}")
    return seconds, usage.ru_maxrss / 1024


@contextmanager
def counted(spans: list[tuple[float, float]]) -> Iterator[None]:
    """Note when codec and metric methods begin and end, in whichever thread, while the block runs."""
    from qbench.registry.registry import default_registry

    registry = default_registry()
    watched = [(registry.codecs["jpeg"], ("encode", "decode"))]
    watched += [(registry.metrics[name], ("prepare", "score")) for name in ("psnr", "ms-ssim")]
    patched = []
    for cls, names in watched:
        for name in names:
            original = getattr(cls, name)

            def timed(self, *arguments, _original=original):
                start = time.perf_counter()
                try:
                    return _original(self, *arguments)
                finally:
                    spans.append((start, time.perf_counter()))

            patched.append((cls, name, original if name in vars(cls) else None))
            setattr(cls, name, timed)
    try:
        yield
    finally:
        for cls, name, original in patched:
            if original is None:
                delattr(cls, name)
            else:
                setattr(cls, name, original)


def covered(spans: list[tuple[float, float]]) -> float:
    """Return how long at least one span was open."""
    total, reached = 0.0, 0.0
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def time_outside(suite: Path, work: Path) -> tuple[float, float]:
    """Run in this process; return wall seconds, and those in which no codec or metric code was running."""
    import qbench

    spans: list[tuple[float, float]] = []
    output = Path(tempfile.mkdtemp(dir=work))
    with counted(spans):
        start = time.perf_counter()
        qbench.run(suite, output=output / "run", cache=False)
        wall = time.perf_counter() - start
    return wall, wall - covered(spans)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pairs", type=int, default=5, help="how often each is measured (default 5)")
    pairs = arguments.parse_args().pairs
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        make_images(work / "24", 24)
        make_images(work / "240", 240)
        kept = write_suite(work / "kept.yaml", work / "24")
        lean = write_suite(work / "lean.yaml", work / "24", keep=False)
        many = write_suite(work / "many.yaml", work / "240")

        for name, suite in (("reconstructions kept", kept), ("not kept", lean)):
            whole_process(suite, work, 1)  # the page cache's warm-up
            seconds: dict[int, list[float]] = {1: [], 2: []}
            for _ in range(pairs):
                for jobs in seconds:
                    seconds[jobs].append(whole_process(suite, work, jobs)[0])
            ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
            print(f"24 images × 5 qualities, whole process, {name}:")
            for jobs, values in seconds.items():
                print(f"  --jobs {jobs}: {min(values):.2f} / {statistics.median(values):.2f} / {max(values):.2f} s")
            print(f"  jobs 1 / jobs 2, pair by pair: median {statistics.median(ratios):.2f}")

        for count, suite in ((24, kept), (240, many)):
            seconds_, megabytes = whole_process(suite, work, 1)
            print(f"{count} images, --jobs 1: {seconds_:.1f} s, peak memory {megabytes:.0f} MB")

        import torch  # so that its import is not part of the first measurement

        torch.ones(1)
        for keep in (True, False):
            for exclusive in (False, True):
                suite = write_suite(work / "inside.yaml", work / "24", keep=keep, exclusive=exclusive)
                time_outside(suite, work)
                results = [time_outside(suite, work) for _ in range(pairs)]
                wall, outside = (statistics.median(values) for values in zip(*results, strict=True))
                kept_text = "kept" if keep else "not kept"
                mode = "one thing at a time" if exclusive else "coding beside scoring"
                share = f"{100 * outside / wall:.1f} % of it ({1000 * outside / 120:.1f} ms a cell)"
                print(f"in one process, {mode}, reconstructions {kept_text}: {wall:.2f} s; {share} in neither")


if __name__ == "__main__":
    main()
