"""What a coordinator can do for workers on other machines: ``python benchmarks/on_a_cluster.py [--cells 100000]``.

A real run of as many cells is handed out by Dask to 64 workers that only pretend: they are threads of another process,
sleep for as long as a cell is said to take, and give back records, and bitstreams of the size of a photograph's. So
nothing is measured but Dask, the coordinator, its journal and its files: cells a second where cells take no time, what
a cell costs beside its own time, the coordinator's memory and its processor's time. A last line is of an idle one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

import qbench
from qbench.cluster.units import Contract, Done, Unit
from qbench.execute.work import Recorded

WORKERS = 64
POINTS = 100
BITSTREAM = os.urandom(20_000)
HEADINGS = (
    "a cell takes, s",
    "until the first record, s",
    "from then on, s",
    "cells/s",
    "without overhead, s",
    "overhead a cell and worker, ms",
    "coordinator's CPU a cell, ms",
    "its peak, MB",
)
SECONDS = "QBENCH_PRETENDED_SECONDS"


class Pretended:
    """A workplace where nothing is done."""

    def __init__(self, contract: Contract, name: str, threads: int, say: Any, parent: str) -> None:
        from qbench.cluster.workplace import RunFolder
        from qbench.planning.types import OperatingPoint

        self._plan = contract.plan
        self._session = contract.session
        self._name = name
        self._folder = RunFolder(Path("/"))
        self._points: dict[str, OperatingPoint] = {point.id: point for point in contract.plan.points}

    def do(self, unit: Unit) -> Done:
        """Sleep, and return what could have been measured."""
        from qbench.execute.scoring import outcome_record
        from qbench.records import CallTiming, CellRecord, Timing
        from qbench.results.state import score_key
        from qbench.store.folder import now

        records: list[Any] = []
        files = {}
        once = CallTiming(seconds=0.01, repeats=1, warmup=0)
        timing = Timing(encode=once, decode=once, threads=1, concurrent_load="exclusive")
        images = {image.name: image for image in self._plan.images}
        for part in unit.parts:
            for cell in part.cells:
                time.sleep(float(os.environ[SECONDS]))
                digest = f"{abs(hash(cell.key)):064x}"[:64]
                record = CellRecord(
                    key=cell.key, image=part.image, point=cell.point, outcome="coded", bitstream_size=len(BITSTREAM),
                    bitstream_sha256=digest, reconstruction_sha256=digest, timing=timing, session=self._session,
                    at=now(),
                )  # fmt: skip
                records.append(record)
                path = self._folder.bitstream_path(self._points[cell.point], part.image)
                files[path.relative_to("/").as_posix()] = BITSTREAM
                for metric in self._plan.metrics:
                    key = score_key(self._plan, metric, images[part.image], record)
                    values = {column.name: 1.0 for column in metric.columns}
                    records.append(outcome_record(self._session, key, part.image, cell.point, metric, values))
        return Done(tuple(records), files, worker=self._name)

    def stop(self, patience: float) -> None:
        """Stop nothing."""

    def close(self) -> None:
        """End nothing."""


async def _serve(address_file: Path) -> None:
    """Be a scheduler and its workers, until the process is ended."""
    from distributed import Scheduler, Worker

    import qbench.cluster.on_worker as on_worker

    on_worker.Workplace = Pretended  # type: ignore[misc,assignment]
    async with Scheduler(dashboard_address=":0", port=0) as scheduler:
        workers = [
            Worker(scheduler.address, nthreads=1, name=f"w{number}", dashboard_address=":0")
            for number in range(WORKERS)
        ]
        await asyncio.gather(*workers)
        address_file.write_text(scheduler.address)
        await scheduler.finished()


def _measure(cells: int, seconds: float, work: Path, address: str) -> None:
    images = work / "images"
    if not images.is_dir():
        images.mkdir()
        rng = np.random.default_rng(0)
        for number in range(cells // POINTS):
            PillowImage.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(images / f"{number:05}.png")
    suite = {
        "name": "pretended",
        "images": [{"folder": str(images)}],
        "codecs": {"jpeg": {"quality": list(range(1, POINTS + 1))}},
        "metrics": ["bpp", "psnr"],
    }
    plan = qbench.plan(suite)
    began, first = time.perf_counter(), [0.0]
    before = resource.getrusage(resource.RUSAGE_SELF)

    def listen(event: Any) -> None:
        if isinstance(event, Recorded) and not first[0]:
            first[0] = time.perf_counter()

    run = qbench.run(plan, output=work / f"run-{seconds:g}", cache=False, cluster=address, on_event=listen)
    wall, ready = time.perf_counter() - first[0], first[0] - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert run.complete
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    ideal = cells * seconds / WORKERS
    overhead = 1e3 * (wall - ideal) * WORKERS / cells
    figures = [f"{seconds:g}", f"{ready:.1f}", f"{wall:.1f}", f"{cells / wall:.0f}", f"{ideal:.1f}", f"{overhead:.1f}"]
    figures += [f"{1e3 * own / cells:.2f}", f"{after.ru_maxrss / 1024:.0f}"]
    print("| " + " | ".join(figures) + " |", flush=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, nargs="*", default=[0.0, 0.1])
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(_serve(given.serve))
        return
    if given.measure:
        seconds, work, address = given.measure
        _measure(given.cells, float(seconds), Path(work), address)
        return
    print(f"{given.cells} cells, {WORKERS} pretended workers, {os.cpu_count()} cores for all of it\n")
    print("| " + " | ".join(HEADINGS) + " |\n" + "|---" * len(HEADINGS) + "|", flush=True)
    for seconds in given.seconds:
        with tempfile.TemporaryDirectory() as folder:
            address_file = Path(folder) / "address"
            environment = {**os.environ, SECONDS: str(seconds)}
            this = [sys.executable, __file__, "--cells", str(given.cells)]
            server = subprocess.Popen([*this, "--serve", str(address_file)], env=environment, stderr=subprocess.DEVNULL)
            try:
                while not address_file.exists() or not address_file.read_text():
                    time.sleep(0.1)
                measure = [*this, "--measure", str(seconds), folder, address_file.read_text()]
                subprocess.run(measure, check=True)
            finally:
                server.kill()
                server.wait()


if __name__ == "__main__":
    main()
