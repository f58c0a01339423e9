"""Whole runs beside other tools, and what qbench itself costs: time, memory and scale.

    python benchmarks/against_peers.py [PART …] [--images FOLDER] [--pairs 5] [--peer-python PYTHON] [--work FOLDER]

Parts (all by default):

- ``compressai``: JPEG at five qualities with PSNR and MS-SSIM, the whole process with start-up and imports, beside
  ``python -m compressai.utils.bench jpeg``; in turn, and the means of both compared. CompressAI wants NumPy below 2, so
  an environment of its own is made (kept in ``--work``), unless ``--peer-python`` names one that has it.
- ``jobs``: the same job with one and with two at a time.
- ``outside``: how much of the time is spent outside codec and metric code.
- ``memory``: peak memory of all processes and of the largest, over 24 and over 240 images, and with 12 megapixels at 16
  qualities.
- ``scale``: a plan of 100,000 cells, resuming a run that has them all (records made up), showing it.

- ``vit-score``: beside the thesis's two passes a pair (``benchmarks/vit_score_speed.py``).
- ``learned``: what learned codecs take to decode, in float32 and in float64 (``exact: true``), and how far the pixels
  are apart.

``--images`` is a folder of photographs, such as Kodak's; by default 24 crops of 768×512 are cut out of scikit-image's.
Numbers of one machine mean little elsewhere; the ratios, taken side by side, do.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import yaml
from PIL import Image

from qbench.execute.limits import descendants

WIDTH, HEIGHT = 768, 512
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "retina")
QUALITIES = (5, 25, 50, 75, 95)
CELLS = 100_000
TILES = {"mode": "tile", "iterations": 2, "refine": 0, "bits": 2}


def make_images(folder: Path, count: int) -> Path:
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
    return folder


def write_suite(path: Path, images: Path, *, qualities: Sequence[int] = QUALITIES, exclusive: bool = False) -> Path:
    """Write the suite that is measured."""
    suite = {
        "images": [{"folder": str(images)}],
        "codecs": {"jpeg": {"quality": list(qualities)}},
        "metrics": ["psnr", "ms-ssim"],
        "keep": {"reconstructions": False, "bitstreams": False},
        "timing": {"exclusive": exclusive},
    }
    path.write_text(yaml.safe_dump(suite))
    return path


def timed(command: Sequence[str | Path], output: Path | None = None) -> float:
    """Run a program; return wall seconds."""
    start = time.perf_counter()
    with (output or Path(os.devnull)).open("wb") as out:
        done = subprocess.run(list(map(str, command)), stdout=out, stderr=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(map(str, command))}")
    return time.perf_counter() - start


def peak_memory(command: Sequence[str | Path]) -> tuple[int, int]:
    """Run a program; return the most bytes of all its processes, shared memory counted once, and of the largest one.

    Linux only: 20 times a second their smaps_rollup is looked at.
    """
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    together = largest = 0
    while process.poll() is None:
        share = 0
        for pid in (process.pid, *descendants(process.pid)):
            with suppress(OSError):
                fields = dict(re.findall(r"^(Rss|Pss): +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M))
                share += 1024 * int(fields.get("Pss", 0))
                largest = max(largest, 1024 * int(fields.get("Rss", 0)))
        together = max(together, share)
        time.sleep(0.05)
    return together, largest


def qbench_command(suite: Path, run: Path, jobs: int) -> list[str | Path]:
    """Return what a person would type, without looking at the table."""
    return [sys.executable, "-m", "qbench", "run", suite, "-o", run, "-q", "--no-cache", "-j", str(jobs)]


def fresh(work: Path) -> Path:
    """Return a name for another run folder."""
    return Path(tempfile.mkdtemp(dir=work)) / "run"


def spread(values: Sequence[float]) -> str:
    """Say the least, the median and the largest."""
    return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


def peer_environment(work: Path, given: Path | None) -> Path:
    """Return the Python of an environment with CompressAI, made if there is none."""
    folder = work / "compressai"
    python = given or folder / "bin" / "python"
    if given is None and not python.exists():
        print("making an environment with CompressAI …", flush=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "compressai"], check=True)
    return python


def beside_compressai(images: Path, work: Path, pairs: int, given: Path | None) -> None:
    """Print the whole process's times beside CompressAI's, and how far the means are apart."""
    python = peer_environment(work, given)
    suite = write_suite(work / "peers.yaml", images)
    theirs: list[str | Path] = [
        python,
        "-m",
        "compressai.utils.bench",
        "jpeg",
        images,
        "-q",
        ",".join(map(str, QUALITIES)),
    ]
    taken: dict[str, list[float]] = {"CompressAI": [], "qbench -j 1": [], "qbench -j 2": []}
    run, printed = fresh(work), work / "compressai.json"
    timed(theirs, printed)  # the page cache's and the compiled kernels' warm-up
    timed(qbench_command(suite, run, 1))
    for _ in range(pairs):
        taken["CompressAI"].append(timed(theirs, printed))
        for jobs in (1, 2):
            taken[f"qbench -j {jobs}"].append(timed(qbench_command(suite, fresh(work), jobs)))
    for name, values in taken.items():
        ratios = [theirs / ours for theirs, ours in zip(taken["CompressAI"], values, strict=True)]
        print(f"| {name} | {spread(values)} | {statistics.median(ratios):.1f}× |")
    print(differences(printed, run))


def differences(printed: Path, run: Path) -> str:
    """Say how far both tools' means over the images are apart at most."""
    import qbench

    results = json.loads(printed.read_text())["results"]
    rows = qbench.load_run(run).rows
    names = {"psnr-rgb": "psnr", "ms-ssim-rgb": "ms-ssim", "bpp": "bpp"}
    found = []
    for theirs, ours in names.items():
        if theirs not in results:
            continue
        for index, quality in enumerate(QUALITIES):
            values = [row.entries[ours].value for row in rows if row.point == f"jpeg:quality={quality}"]
            found.append(f"{ours} {abs(statistics.mean(values) - results[theirs][index]):.1g}")
    return "means differ by " + ", ".join(found)


def two_jobs(images: Path, work: Path, pairs: int) -> None:
    """Print the times of one and of two jobs."""
    suite = write_suite(work / "jobs.yaml", images)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    timed(qbench_command(suite, fresh(work), 1))
    for _ in range(pairs):
        for jobs, values in seconds.items():
            values.append(timed(qbench_command(suite, fresh(work), jobs)))
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    print(f"-j 1: {spread(seconds[1])}; -j 2: {spread(seconds[2])}; {statistics.median(ratios):.2f} times as fast")


@contextmanager
def counted(spans: list[tuple[float, float]]) -> Iterator[None]:
    """Note when codec and metric methods begin and end while the block runs."""
    from qbench.registry.registry import default_registry

    registry = default_registry()
    watched = [(registry.codecs["jpeg"], ("encode", "decode"))]
    watched += [(registry.metrics[name], ("prepare", "score")) for name in ("psnr", "ms-ssim")]
    patched = []
    for cls, names in watched:
        for name in names:
            original = getattr(cls, name)

            def noted(self: Any, *arguments: Any, _original: Any = original) -> Any:
                start = time.perf_counter()
                try:
                    return _original(self, *arguments)
                finally:
                    spans.append((start, time.perf_counter()))

            patched.append((cls, name, original if name in vars(cls) else None))
            setattr(cls, name, noted)
    try:
        yield
    finally:
        for cls, name, original in patched:
            if original is None:
                delattr(cls, name)
            else:
                setattr(cls, name, original)


def time_outside(images: Path, work: Path, pairs: int) -> None:
    """Print how much of a run in one process, one thing at a time, is neither codec nor metric."""
    import qbench

    suite = write_suite(work / "outside.yaml", images, exclusive=True)
    shares = []
    for turn in range(pairs + 1):
        spans: list[tuple[float, float]] = []
        with counted(spans):
            start = time.perf_counter()
            made = qbench.run(suite, output=fresh(work), cache=False, in_process=True)
            wall = time.perf_counter() - start
        if turn:  # the first loads libraries
            outside = wall - sum(end - begin for begin, end in spans)
            shares.append((outside / wall, outside / len(made.rows)))
    share, each = (statistics.median(values) for values in zip(*shares, strict=True))
    print(f"in one process: {100 * share:.1f} % of the time in neither ({1000 * each:.1f} ms a cell)")


def learned(images: Path, pairs: int) -> None:
    """Print what learned codecs take with one thread and with two, and what float32 does to the pixels."""
    import torch

    import qbench
    from qbench.plugin import Context
    from qbench.registry.registry import default_registry

    first = sorted(images.iterdir())[0]
    original = qbench.read_image(first)
    settings = {"autoencoder": {"quality": 5}, "jpeg-restore": {"quality": 30}, "gan-inversion": TILES}
    for name, given in settings.items():
        cls = default_registry().codecs[name]
        made = {
            exact: cls(cls.Parameters.model_validate({**given, "exact": exact}), Context()) for exact in (False, True)
        }
        bitstream = made[False].encode(original)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            taken: dict[bool, list[float]] = {False: [], True: []}
            decoded = {exact: codec.decode(bitstream) for exact, codec in made.items()}
            for _ in range(pairs):
                for exact, codec in made.items():
                    start = time.perf_counter()
                    codec.decode(bitstream)
                    taken[exact].append(time.perf_counter() - start)
            fast, slow = (statistics.median(taken[exact]) for exact in (False, True))
            differ = (decoded[False].pixels != decoded[True].pixels).mean()
            print(
                f"{name}, {threads} thread{'s' * (threads > 1)}: decoding {original.width}×{original.height} takes "
                f"{fast:.2f} s, exactly {slow:.2f} s; {1e6 * differ:.0f} in a million samples differ",
                flush=True,
            )


def memory(images: Path, work: Path) -> None:
    """Print peak memory."""
    many = make_images(work / "240", 240)
    large = work / "large"
    large.mkdir()
    Image.open(sorted(images.iterdir())[0]).resize((4000, 3000)).save(large / "large.png", compress_level=1)
    suites = {
        "as given": write_suite(work / "few.yaml", images),
        "240 images": write_suite(work / "many.yaml", many),
        "12 megapixels, 16 qualities": write_suite(work / "large.yaml", large, qualities=range(5, 85, 5)),
    }
    for name, suite in suites.items():
        for jobs in (1, 2):
            together, largest = peak_memory(qbench_command(suite, fresh(work), jobs))
            print(f"{name}, -j {jobs}: {together / 1e6:.0f} MB, the largest process {largest / 1e6:.0f} MB", flush=True)


def made_up(planned: Any, run: Path) -> None:
    """Write a run that has everything: records as they would be, of values that nobody measured."""
    from qbench.records import CallTiming, CellRecord, ScoreRecord, SessionRecord, Timing
    from qbench.results.state import score_key
    from qbench.store.folder import RunFolder, now

    folder, call = RunFolder(run), CallTiming(seconds=0.001, repeats=1, warmup=0)
    timing = Timing(encode=call, decode=call, threads=1, concurrent_load="exclusive")
    (metric,) = planned.metrics
    records: list[Any] = [SessionRecord(id="made-up", at=now(), provenance={})]
    for number, (image, point, key) in enumerate(planned.iter_cells()):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        where = {"image": image.name, "point": point.id, "session": "made-up", "at": now()}
        cell = CellRecord(
            key=key,
            outcome="coded",
            bitstream_size=600 + number % 500,
            bitstream_sha256=digest,
            reconstruction_sha256=digest,
            timing=timing,
            **where,
        )
        values = {metric.label: 30 + number % 1000 / 100}
        score = ScoreRecord(
            key=score_key(planned, metric, image, cell), metric=metric.label, outcome="scored", values=values, **where
        )
        records += [cell, score]
    with folder.locked(), folder.writing() as journal:
        folder.begin(planned, journal)
        journal.append(records)


def scale(work: Path) -> None:
    """Print what many cells cost: to plan, to find done, to show."""
    import qbench

    folder = work / "tiny"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(CELLS // 100):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{index:04d}.png")
    path = work / "scale.yaml"
    suite = yaml.safe_load(write_suite(path, folder, qualities=range(1, 101)).read_text())
    path.write_text(yaml.safe_dump({**suite, "metrics": ["psnr"]}))
    qbench.plan(path)
    start = time.perf_counter()
    planned = qbench.plan(path)
    print(f"planning {planned.cells:,} cells: {time.perf_counter() - start:.1f} s")
    run = fresh(work)
    made_up(planned, run)
    for name, command in {
        "resuming with all done": [*qbench_command(path, run, 1), "--no-report"],
        "resuming with all done, and its report written": qbench_command(path, run, 1),
        "resuming with all done, and its report there": qbench_command(path, run, 1),
        "show": [sys.executable, "-m", "qbench", "show", run],
    }.items():
        print(f"{name}: {timed(command):.1f} s", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("compressai", "jobs", "outside", "vit-score", "learned", "memory", "scale")
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*parts, []], help=", ".join(parts))
    parser.add_argument("--images", type=Path, help="a folder of photographs")
    parser.add_argument("--pairs", type=int, default=5, help="how often each is measured (default 5)")
    parser.add_argument("--peer-python", type=Path, help="of an environment that has CompressAI")
    parser.add_argument("--work", type=Path, help="folder to keep CompressAI's environment in")
    options = parser.parse_args()
    known = ", ".join(f"{name} {version(name)}" for name in ("qbench", "numpy", "opencv-python-headless", "numba"))
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {known}")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        images = options.images.absolute() if options.images else make_images(work / "24", 24)
        for part in options.parts or parts:
            print(f"\n## {part}\n", flush=True)
            if part == "compressai":
                kept = options.work or work
                kept.mkdir(parents=True, exist_ok=True)
                beside_compressai(images, work, options.pairs, options.peer_python or peer_environment(kept, None))
            elif part == "jobs":
                two_jobs(images, work, options.pairs)
            elif part == "outside":
                time_outside(images, work, options.pairs)
            elif part == "vit-score":
                script = Path(__file__).with_name("vit_score_speed.py")
                subprocess.run([sys.executable, script, "--rounds", str(options.pairs)], check=True)
            elif part == "learned":
                learned(images, options.pairs)
            elif part == "memory":
                memory(images, work)
            else:
                scale(work)


if __name__ == "__main__":
    main()
